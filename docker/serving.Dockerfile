# TensorFlow Serving with the model in it, from the image of docker/Dockerfile:
# docker/README.md says how it is built and run.

ARG TFNST_IMAGE=tfnst
# 2.20.0-gpu for NVIDIA GPUs; a digest pins it to the byte: 2.20.0@sha256:...
ARG TAG=2.20.0

FROM ${TFNST_IMAGE} AS export
# Requests can't ask for more than this, which keeps a run within 3 GiB.
ARG EXPORT_OPTIONS="--max-size 1024"
# Several words on purpose. The cache keeps VGG19's weights for the next build.
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/weights,uid=10001,gid=10001 \
    tfnst export /models/tfnst --version 1 ${EXPORT_OPTIONS}

FROM tensorflow/serving:${TAG}
COPY docker/wait_until_idle.sh /usr/local/bin/wait_until_idle
COPY serving/models.config serving/monitoring.config /config/
COPY --from=export /models/tfnst /models/tfnst
ENV MODEL_NAME=tfnst
USER 10001:10001
EXPOSE 8500 8501
# The server has no answer to SIGTERM: without this, `docker stop` waits for 10 seconds
# and kills it then. wait_until_idle is how runs are let to finish before.
STOPSIGNAL SIGKILL
# It listens once the model is loaded and warmed up. No question over REST: that waits
# while runs keep the threads of --rest_api_num_threads.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8500"]
# What serving/README.md says about each. Arguments of `docker run` replace them all.
CMD ["--model_config_file=/config/models.config", \
     "--allow_version_labels_for_unavailable_models=true", \
     "--monitoring_config_file=/config/monitoring.config", \
     "--enable_grpc_healthcheck_service=true", \
     "--grpc_max_threads=3", \
     "--rest_api_num_threads=2", \
     "--rest_api_timeout_in_ms=3600000", \
     "--grpc_channel_arguments=grpc.http2.min_ping_interval_without_data_ms=10000"]
