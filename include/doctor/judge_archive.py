"""Judge an archive's store. Pure."""

from include.doctor.finding import Area, Finding, Verdict
from include.doctor.judge_link import speed
from include.doctor.s3_speed import FOLDER, S3Speed


def judge_archive(name: str, found: S3Speed, *, need: float) -> list[Finding]:
    """Judge putting and getting an object, and whether it is gone."""
    advice = "Ask who runs the store, and what lies between: one upload of several parts at once should be faster."
    findings = [
        speed(Area.ARCHIVE, f"{name}, put", found.put, need=need, how="by one upload in parts", advice=advice),
        speed(Area.ARCHIVE, f"{name}, get", found.get, need=need, how="by one download", advice=advice),
    ]
    if found.left_behind:
        findings.append(
            Finding(
                area=Area.ARCHIVE,
                what=f"{name}, test object",
                verdict=Verdict.BAD,
                sentence=f"It could not be removed: {found.left_behind}.",
                advice=f"Remove what lies below {FOLDER}/ in the bucket; may this account delete there?",
            )
        )
    return findings
