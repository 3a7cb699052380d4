"""The HTTP API inside Airflow's api-server, under `/dts`: for instruments, scientists and programs.

============  =========================================================================================================
app           the application; `services` says what it needs, `in_airflow` gets that from Airflow
authentication  who calls; nobody gets further without an account, but to `/health/live`
access        what a caller may do (the table is in include.access)
problems      errors as application/problem+json, each a sentence that names the culprit
paging, etags, bodies  how lists, single things and what is sent are handled, everywhere alike
routes/       one file for each kind of thing
============  =========================================================================================================

**For clients.** Everything is under `/dts/api/v1`; `/dts/openapi.json` describes it. `Authorization: Bearer X`, where X
is a token of `dts token create` or Airflow's own. Lists are `{"items": [...], "next": cursor or null}`; go on with
`?after=cursor`. Single things have an ETag. Whatever is sent may be sent again: an observation by its UUID, a filing by
its `Idempotency-Key`. Final are 400, 403, 404, 409, 413, 415 and 422; after anything else try again, not before
`Retry-After`.
"""
