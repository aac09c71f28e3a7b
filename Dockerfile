# Busbar's image: docker build -t busbar .
# The first stage makes the Debian package, the second installs it: one list of what is needed to build
# (scripts/packages.sh), and what is needed to run is read off the binary by the package's tools.
FROM debian:bookworm-slim AS build
WORKDIR /busbar
COPY scripts/lib.sh scripts/packages.sh scripts/
RUN scripts/packages.sh build package
COPY . .
RUN cmake --preset release -DBUSBAR_TESTS=OFF -DBUSBAR_BENCH=OFF \
  && cmake --build build/release --target package \
  && mv build/release/busbar_*.deb busbar.deb

FROM debian:bookworm-slim
# The numbers are part of the contract: volumes belong to them, and the Helm chart names them.
RUN groupadd --gid 10001 busbar \
  && useradd --uid 10001 --gid busbar --home-dir /var/lib/busbar --no-create-home --shell /usr/sbin/nologin busbar
COPY --from=build /busbar/busbar.deb /tmp/
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates /tmp/busbar.deb \
  && rm -rf /tmp/busbar.deb /var/lib/apt/lists/* \
  && install --directory --owner=busbar --group=busbar --mode=0700 /var/lib/busbar
ENV BUSBAR_STORAGE_DIR=/var/lib/busbar/data
VOLUME /var/lib/busbar
EXPOSE 3000 9464
USER 10001:10001
# Healthy is who serves: without PostgreSQL, existing shapes are served on.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 CMD ["busbar", "health"]
ENTRYPOINT ["busbar"]
CMD ["serve"]
