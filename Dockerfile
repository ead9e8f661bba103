# syntax=docker/dockerfile:1

# The program is linked against glibc and libgcc only, which the base image has. It could be linked statically:
# * against glibc (`-C target-feature=+crt-static`) the names of ExternalName Services would not be resolved, since
#   getaddrinfo loads the very libraries at run time that such a build should be without;
# * against musl they would, but by musl's own resolver, which follows resolv.conf in another way than the tests know:
#   it asks all servers at once and takes the first answer. Nothing is gained for that but 20 MB of base image.
# Both stages are of the same Debian, so that the glibc of the build is the one that the program meets.
#
# To pin the bases to what was reviewed, give their digests: --build-arg BUILD_IMAGE=rust:1.95.0-slim-bookworm@sha256:…
ARG BUILD_IMAGE=rust:1.95.0-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libcap2-bin \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /tidegate
COPY . .
# The toolchain is the image's, which has to be the version in rust-toolchain.toml. Paths of the build do not end up in
# the program.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    CARGO_TERM_COLOR=never \
    RUSTFLAGS="--remap-path-prefix=/tidegate=tidegate --remap-path-prefix=/usr/local/cargo=cargo"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/tidegate/target \
    cargo build --release --locked --package tidegate --bin tidegate \
 && install -D --strip target/release/tidegate /image/tidegate
# Ports below 1024 without root, where the container keeps the capability (hostNetwork). Permitted and not effective:
# where it is dropped the program starts all the same.
RUN setcap cap_net_bind_service=p /image/tidegate

FROM ${RUN_IMAGE}
LABEL org.opencontainers.image.title="tidegate" \
      org.opencontainers.image.description="Ingress controller and service-discovery load balancer for Kubernetes" \
      org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/tidegate /tidegate
# As a number, so that runAsNonRoot can see that it is not root.
USER 65532:65532
EXPOSE 8080/tcp 8443/tcp 5353/udp 5353/tcp 9901/tcp
ENTRYPOINT ["/tidegate"]
CMD ["run"]
