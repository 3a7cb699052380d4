"""A whole observatory on one machine: real servers, three sites, Airflow with a Celery worker per host.

==================  ====================================================================================================
module              what it is
==================  ====================================================================================================
process, guard      a program as a daemon with its log file; the guard ends it should its starter be killed
accounts            the system accounts that the processes run as, where root runs the sandbox
ports, programs     where servers listen; where the programs in the environment lie
postgres, redis,    one server each: start it in a test with `with Postgres.running(folder) as server:`
sftp, s3
==================  ====================================================================================================
"""
