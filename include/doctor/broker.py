"""Whether the broker, through which the workers get their tasks, answers from here."""

import time
from urllib.parse import urlsplit

import redis

from include.doctor.finding import Area, Finding, Verdict, not_measured

ANSWER_SECONDS = 5.0
WHAT = "broker"


def look_at_broker(url: str) -> Finding:
    """Ping it. The URL's password is never shown."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}"
    if not parts.scheme.startswith("redis"):
        return not_measured(Area.PROGRAMS, WHAT, why=f"{place} is no Redis, which is all that can be asked here")
    try:
        with redis.Redis.from_url(
            url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, health_check_interval=0
        ) as client:
            before = time.perf_counter()
            client.ping()
            took = (time.perf_counter() - before) * 1000
    except (redis.RedisError, OSError, ValueError) as error:
        return Finding(
            area=Area.PROGRAMS,
            what=WHAT,
            verdict=Verdict.BAD,
            sentence=f"{place} does not answer: {error}.",
            advice="Is Redis running, and is AIRFLOW__CELERY__BROKER_URL right? Workers get no tasks without it.",
        )
    return Finding(
        area=Area.PROGRAMS,
        what=WHAT,
        verdict=Verdict.GOOD,
        sentence=f"{place} answers in {took:.1f} ms.",
        value=took,
        unit="ms",
    )
