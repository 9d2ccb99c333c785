# Postfix of the profile `mail`: takes mail from users who have logged in, and brings it to Dovecot. See docs/operations.md.
ARG DEBIAN_IMAGE=debian:bookworm-slim
FROM ${DEBIAN_IMAGE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix tini \
 && rm -rf /var/lib/apt/lists/*

COPY main.cf master.cf sender-logins /etc/postfix/
COPY start-postfix /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=5s --retries=12 CMD ["sh", "-c", "kill -0 $(cat /var/spool/postfix/pid/master.pid)"]
ENTRYPOINT ["tini", "--", "start-postfix"]
