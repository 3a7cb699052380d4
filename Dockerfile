# One image for every component and every worker: code and DAGs travel together.
FROM apache/airflow:3.3.2-python3.12

USER root
COPY --chown=airflow:0 requirements.txt requirements.lock /opt/ccat-data-transfer-system/
USER airflow
# The lock is the set that was tested. The image's own Airflow has the same version.
RUN pip install --no-cache-dir -r /opt/ccat-data-transfer-system/requirements.txt \
    --constraint /opt/ccat-data-transfer-system/requirements.lock

COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/ccat-data-transfer-system/
COPY --chown=airflow:0 include /opt/ccat-data-transfer-system/include
COPY --chown=airflow:0 dags /opt/ccat-data-transfer-system/dags
COPY --chown=airflow:0 plugins /opt/ccat-data-transfer-system/plugins
# Only for the command `dts`; PYTHONPATH below is what the components import from.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable /opt/ccat-data-transfer-system

# The bundle is dags/, never the folder above it: any .py below a bundle may be executed.
ENV PYTHONPATH=/opt/ccat-data-transfer-system \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/ccat-data-transfer-system/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/ccat-data-transfer-system/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__EXECUTOR=CeleryExecutor \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "data-transfer", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": "/opt/ccat-data-transfer-system/dags"}}]'
