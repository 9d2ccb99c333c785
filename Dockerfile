# The bot alone: no embedded PostgreSQL, Redis or mail server, no Docker Engine. docker-compose.yml starts it with the rest.
# Another registry, or one certain state of the image: --build-arg NODE_IMAGE=registry.example.com/node@sha256:...
ARG NODE_IMAGE=node:24-bookworm-slim
FROM ${NODE_IMAGE}

# iptables, and what makes disks (e2fsprogs, losetup of mount): this image is also that of the helper containers, which keep
# workspaces from the host's networks, and to their size.
RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client ca-certificates iptables e2fsprogs mount tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --create-home --home-dir /home/threadbox threadbox

WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional packages are the embedded PostgreSQL and a Node for machines that have an older one.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && rm -rf /tmp/* /root/.npm
COPY bin bin
COPY src src
COPY migrations migrations
COPY templates templates
COPY docker/threadbox docker/healthy.mjs /usr/local/bin/

ENV NODE_ENV=production
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["node", "/usr/local/bin/healthy.mjs"]
ENTRYPOINT ["tini", "--", "threadbox"]
CMD ["start"]
