# One image for both halves: `serve` is the default, `train` is another argument.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/endcap
ENV PATH=/opt/endcap/bin:$PATH
WORKDIR /src
# The locked packages change rarely: their layer comes before the code's.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

FROM python:3.12-slim
# implicit's compiled loops run on OpenMP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/endcap --create-home endcap
COPY --from=build /opt/endcap /opt/endcap
ENV PATH=/opt/endcap/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ENDCAP_HOME=/var/lib/endcap
USER endcap
WORKDIR /var/lib/endcap
VOLUME /var/lib/endcap
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["endcap"]
CMD ["serve", "--host", "0.0.0.0"]
