"""That what people ask for is found without reading everything there is."""

from sqlalchemy import text

from tests.api.conftest import Api


async def test_a_file_is_found_by_its_name_through_an_index(full_api: Api) -> None:
    with full_api.engine.begin() as connection:
        connection.execute(text("set local enable_seqscan = off"))
        plan = connection.execute(
            text("explain select raw_data_package_id from raw_data_file where reverse(path) like '3g.100_x%'")
        ).scalars()
        assert "ix_raw_data_file_name" in " ".join(plan)


async def test_what_a_run_tried_is_found_by_its_id_through_an_index(full_api: Api) -> None:
    with full_api.engine.begin() as connection:
        connection.execute(text("set local enable_seqscan = off"))
        plan = connection.execute(
            text("explain select operation_id from operation_attempt where run_id = 'x'")
        ).scalars()
        assert "run_id_idx" in " ".join(plan)
