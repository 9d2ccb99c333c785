# Dovecot of the profile `mail`: mailboxes, logins, and who sent a mail. See docs/operations.md.
ARG DEBIAN_IMAGE=debian:bookworm-slim
FROM ${DEBIAN_IMAGE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      dovecot-imapd dovecot-lmtpd dovecot-sieve openssl tini \
 && rm -rf /var/lib/apt/lists/* /etc/dovecot \
 && useradd --uid 10002 --user-group --no-create-home vmail

COPY dovecot.conf sender.sieve /etc/dovecot/
RUN sievec -c /etc/dovecot/dovecot.conf /etc/dovecot/sender.sieve
COPY start-dovecot /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=5s --retries=12 CMD ["doveadm", "service", "status", "imap-login", "lmtp", "auth"]
ENTRYPOINT ["tini", "--", "start-dovecot"]
