"""How long locations last, at the present rates and with an outage: the sandbox's observatory, worked out by hand."""

import pytest

from include.errors import BadInputError
from include.lifecycle.capacity import Forecast, Outage, forecast, outage_of
from include.topology import Topology, load_topology
from tests.lifecycle.known import HOUR, NOW, known
from tests.observatory import SANDBOX

TOPOLOGY = load_topology(SANDBOX)
ALL = [location.full_name for location in TOPOLOGY.data_locations]


def with_(outage: Outage, *, topology: Topology = TOPOLOGY) -> dict[str, Forecast]:
    """Everywhere 2 B/s come and 1 B/s goes (from archives nothing), with room for 100 hours of 1 B/s."""
    places = {name: known(name, in_rate=2, out_rate=0 if "archive" in name else 1) for name in ALL}
    return {each.location: each for each in forecast(places, topology, outage=outage, now=NOW)}


def hours(found: dict[str, Forecast]) -> dict[str, float | None]:
    return {name: each.outage.hours_left for name, each in found.items()}


def test_at_the_present_rates_each_lasts_for_what_is_free() -> None:
    found = with_(Outage())
    assert [name for name in ALL if found[name].why] == []
    assert {name: each.present.hours_left for name, each in found.items()} == hours(found)
    assert hours(found) == {name: 50.0 if "archive" in name else 100.0 for name in ALL}


def test_what_is_emptied_faster_than_it_fills_lasts_for_ever() -> None:
    (found,) = forecast(
        {"ccat_buffer": known("ccat_buffer", in_rate=1, out_rate=1)}, TOPOLOGY, outage=Outage(), now=NOW
    )
    assert found.present.hours_left is None
    assert found.present.free_after(found.free_bytes, hours=1000) == found.free_bytes


def test_with_the_telescopes_links_down_it_keeps_all_and_nothing_new_reaches_the_archives() -> None:
    found = with_(outage_of(TOPOLOGY, link_down=("ccat",)))
    assert hours(found) == {
        "ccat_source": 50,
        "ccat_buffer": 50,
        "cologne_buffer": None,
        "cologne_archive": None,
        "cologne_processing": 100,
        "us_buffer": None,
        "us_archive": None,
    }
    assert found["ccat_source"].why == "nothing there gets 2 archive copies at 2 sites, so nothing is deleted"
    assert found["us_archive"].why == "no new data reaches its site"


@pytest.mark.parametrize("said", ["ccat_buffer to cologne_buffer", "ccat to cologne", "cologne to ccat"])
def test_with_one_of_the_telescopes_links_down_data_goes_round(said: str) -> None:
    found = with_(outage_of(TOPOLOGY, link_down=(said,)))
    assert hours(found) == hours(with_(Outage()))


def test_with_the_link_between_the_archives_down_nothing_gets_its_second_copy() -> None:
    """Data leaves the telescope once, to one of the two: nobody passes it on."""
    found = with_(outage_of(TOPOLOGY, link_down=("cologne to us",)))
    assert found["ccat_source"].why == "nothing there gets 2 archive copies at 2 sites, so nothing is deleted"
    assert hours(found)["cologne_buffer"] == 50


def test_with_an_archive_down_nothing_gets_its_second_copy() -> None:
    found = with_(outage_of(TOPOLOGY, archive_down=("us_archive",)))
    assert found["us_archive"].why == "it is out of order: nothing comes in"
    assert found["us_buffer"].why == "it keeps what its archive does not take"
    assert {name for name in ALL if hours(found)[name] == 50} == {
        "ccat_source",
        "ccat_buffer",
        "cologne_buffer",
        "cologne_archive",
        "us_buffer",
    }


def test_where_one_copy_is_enough_the_other_archive_lets_things_go() -> None:
    one = TOPOLOGY.policy.model_copy(update={"archive_copies": 1, "archive_sites": 1})
    found = with_(
        outage_of(TOPOLOGY, archive_down=("us_archive",)), topology=TOPOLOGY.model_copy(update={"policy": one})
    )
    assert [name for name in ALL if found[name].why] == ["us_buffer", "us_archive"]


def test_what_is_left_after_some_hours() -> None:
    found = with_(outage_of(TOPOLOGY, link_down=("ccat",)))["ccat_source"]
    assert found.outage.free_after(found.free_bytes, hours=20) == 60 * HOUR
    assert found.outage.free_after(found.free_bytes, hours=60) == 0


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"link_down": ("mars",)}, "'mars' is neither a site"),
        ({"link_down": ("ccat to mars",)}, "'mars' is neither a site"),
        ({"archive_down": ("us_buffer",)}, "There is no archive 'us_buffer'. There are: cologne_archive, us_archive."),
    ],
)
def test_what_is_nowhere_cannot_be_out_of_order(asked: dict[str, tuple[str, ...]], names: str) -> None:
    with pytest.raises(BadInputError, match=names):
        outage_of(TOPOLOGY, **asked)
