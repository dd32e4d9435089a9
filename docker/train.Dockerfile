# The image of the steps train and evaluate: TensorFlow and Keras.  `make images` builds it.
#
# ACCELERATOR=gpu adds the CUDA packages that TensorFlow needs; driver and container toolkit are the host's.

# An image with Python 3.11 to 3.13, its pip and venv.  Append @sha256:<digest> for a build that can be repeated exactly.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# A mirror of the package index; this stage's arguments leave no trace in the image.
ARG PIP_INDEX_URL
WORKDIR /build
RUN python3 -m venv /opt/venv
ARG ACCELERATOR=cpu
COPY docker/train-${ACCELERATOR}.lock ./train.lock
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r train.lock
# The installer, a C compiler's library and C++ headers: nothing is installed or compiled in a container.
RUN /opt/venv/bin/pip uninstall --yes --quiet libclang pip \
    && rm -rf /opt/venv/lib/python3*/site-packages/tensorflow/include
COPY LICENSE /opt/hopline/
COPY hopline /opt/hopline/hopline
COPY components/__init__.py components/__main__.py components/images.py components/steps.py /opt/hopline/components/
COPY components/train /opt/hopline/components/train
COPY components/evaluate /opt/hopline/components/evaluate
COPY components/use /opt/hopline/components/use
COPY k8s/base/training-job.yaml /opt/hopline/k8s/base/
RUN python3 -m compileall -q /opt/hopline

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hopline \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/hopline /opt/hopline
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/opt/hopline \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
ARG VERSION
ARG REVISION
ENV HOPLINE_GIT_REVISION=${REVISION}
LABEL org.opencontainers.image.title="hopline-train" \
    org.opencontainers.image.description="Trains and evaluates memory-network language models" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["python3", "-m", "components"]
CMD ["--help"]
