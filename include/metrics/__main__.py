"""Write what is made of the catalogue and of the panels: docs/metrics.md and dashboards/."""

from pathlib import Path

from include.metrics.documentation import document
from include.metrics.grafana import files

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    (ROOT / "docs" / "metrics.md").write_text(document(), encoding="utf-8")
    for path, content in files().items():
        target = ROOT / "dashboards" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
