"""The page "Data transfer" in Airflow's web server: what is where, why, and what comes next, live.

============  =========================================================================================================
app           puts the page beside the API, under `/dts/page/`, and says what browsers may load there
in_airflow    does that in Airflow's api-server; `frames` says where Airflow shows it
flow          the flow as browsers get it; `read_flow` and `read_routes` read it, with `flow_statements`
route_names   which routes there are
rates         bytes a second on each route, from what one look after the other sees
live          one look for all who watch, sent to them as it changes
routes/       what the page asks for beside the API's own lists and things, under the same accounts and roles
static/       HTML, style and modules as browsers get them: nothing is built
============  =========================================================================================================

The page shows what `dts` and the API say, in the same words; whatever it does goes through the same code. In `static/`,
what comes from outside only ever becomes text (`dom.js`), and each file of `views/` is one view.
"""
