# One image for every component and every worker: code and DAGs travel together.
FROM apache/airflow:3.3.2-python3.12

COPY requirements.txt requirements.lock /opt/ccat-data-transfer-system/
# The lock is the set that was tested; the image's own Airflow has the same version.
RUN pip install --no-cache-dir -r /opt/ccat-data-transfer-system/requirements.txt \
    --constraint /opt/ccat-data-transfer-system/requirements.lock

COPY include /opt/ccat-data-transfer-system/include
COPY dags /opt/ccat-data-transfer-system/dags
COPY plugins /opt/ccat-data-transfer-system/plugins
# Not installed as a package: what PYTHONPATH names must be the only copy of the code.
RUN printf '#!/bin/sh\nexec python -m include.cli "$@"\n' > "${HOME}/.local/bin/dts" && chmod +x "${HOME}/.local/bin/dts"

# The bundle is dags/, never the folder above it: any .py below a bundle may be executed.
ENV PYTHONPATH=/opt/ccat-data-transfer-system \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/ccat-data-transfer-system/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/ccat-data-transfer-system/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__EXECUTOR=CeleryExecutor \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "data-transfer", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": "/opt/ccat-data-transfer-system/dags"}}]'
