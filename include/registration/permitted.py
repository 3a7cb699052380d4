"""Who may file what, from where: the filing held against the topology."""

from include.errors import FilingRefusedError
from include.registration.conf import FilingConf
from include.registration.shown import shown
from include.topology import DataLocation, Instrument, Topology


def require_permitted(filing: FilingConf, *, topology: Topology, account: str) -> DataLocation:
    """Return the SOURCE location that has the files.

    Raises:
        FilingRefusedError: the topology has no such instrument, module or location, or the account may not file for it.
    """
    instrument = _instrument(filing, topology)
    if account not in instrument.filed_by:
        raise FilingRefusedError(
            f"the account {shown(account)} may not file for {instrument.name}; {_either(instrument.filed_by)} may."
        )
    if filing.instrument_module not in instrument.modules:
        raise FilingRefusedError(
            f"instrument_module {shown(filing.instrument_module)} is unknown:"
            f" {instrument.name} has {_either(instrument.modules)}."
        )
    return _location(filing, instrument, topology)


def _instrument(filing: FilingConf, topology: Topology) -> Instrument:
    for instrument in topology.instruments:
        if instrument.name == filing.instrument:
            return instrument
    known = _either(tuple(instrument.name for instrument in topology.instruments))
    raise FilingRefusedError(f"instrument {shown(filing.instrument)} is unknown; the topology has {known}.")


def _location(filing: FilingConf, instrument: Instrument, topology: Topology) -> DataLocation:
    for location in topology.data_locations:
        if location.full_name == filing.data_location:
            if location.full_name in instrument.data_locations:
                return location
            raise FilingRefusedError(
                f"data_location {location.full_name} is not one that {instrument.name} writes to;"
                f" it writes to {_either(instrument.data_locations)}."
            )
    raise FilingRefusedError(
        f"data_location {shown(filing.data_location)} is unknown; {instrument.name} writes to"
        f" {_either(instrument.data_locations)}."
    )


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names) if names else "none"
