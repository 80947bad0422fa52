# TensorFlow Serving with the model inside, exported by the image of docker/Dockerfile.
# docker/README.md explains how to build and run it.

ARG TFNST_IMAGE=tfnst
# 2.20.0-gpu for NVIDIA GPUs; a digest pins it exactly: 2.20.0@sha256:...
ARG TAG=2.20.0

FROM ${TFNST_IMAGE} AS export
# The limit on requests, which keeps a run within 7 GiB.
ARG EXPORT_OPTIONS="--max-size 1024"
# Unquoted to allow several options.
# hadolint ignore=SC2086
RUN tfnst export /models/tfnst --version 1 ${EXPORT_OPTIONS}

FROM tensorflow/serving:${TAG}
COPY docker/wait_until_idle.sh /usr/local/bin/wait_until_idle
COPY serving/models.config serving/monitoring.config /config/
COPY --from=export /models/tfnst /models/tfnst
ENV MODEL_NAME=tfnst
USER 10001:10001
EXPOSE 8500 8501
# The server ignores SIGTERM, so `docker stop` would wait for 10 seconds and then kill
# it. Run wait_until_idle first to let runs finish.
STOPSIGNAL SIGKILL
# The server listens once the model is loaded and warmed up. Not over REST, because a
# request would wait while runs occupy the threads of --rest_api_num_threads.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8500"]
# serving/README.md explains each flag. Arguments of `docker run` replace all of them.
CMD ["--model_config_file=/config/models.config", \
     "--allow_version_labels_for_unavailable_models=true", \
     "--monitoring_config_file=/config/monitoring.config", \
     "--enable_grpc_healthcheck_service=true", \
     "--grpc_max_threads=3", \
     "--rest_api_num_threads=2", \
     "--rest_api_timeout_in_ms=3600000", \
     "--grpc_channel_arguments=grpc.http2.min_ping_interval_without_data_ms=10000,grpc.max_connection_age_ms=600000"]
