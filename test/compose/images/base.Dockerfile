# In place of node:24-bookworm-slim and debian:bookworm-slim, which only a registry has: Threadbox's own workspace image is
# Debian with Node. certificates.pem is what this machine trusts: TLS may be intercepted on its way out.
FROM threadbox-workspace:1
COPY certificates.pem /etc/ssl/certs/ca-certificates.crt
COPY certificates.pem /usr/local/share/host-certificates.pem
ARG REGISTRY
ENV NODE_EXTRA_CA_CERTS=/usr/local/share/host-certificates.pem npm_config_registry=${REGISTRY}
