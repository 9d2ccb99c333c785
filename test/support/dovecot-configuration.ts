export type Owner = { uid: number; gid: number; name: string; group: string; isRoot: boolean };

export function configuration({
  dir,
  owner,
  imapPort,
  imapsPort,
  lmtpPort,
  authPort,
  password,
  hasTls,
  prefix,
  capabilities,
  introspectionUrl,
}: {
  dir: string;
  owner: Owner;
  imapPort: number;
  imapsPort: number;
  lmtpPort: number;
  authPort: number;
  password: string;
  hasTls: boolean;
  prefix: string;
  capabilities: string | undefined;
  introspectionUrl: string | undefined;
}): string {
  const home = `uid=${owner.uid} gid=${owner.gid} home=${dir}/mail/%u`;
  return `
base_dir = ${dir}/run
state_dir = ${dir}/run
log_path = ${dir}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
disable_plaintext_auth = no
auth_mechanisms = plain login${introspectionUrl === undefined ? '' : ' xoauth2 oauthbearer'}
ssl = ${hasTls ? 'yes' : 'no'}
ssl_cert = <${dir}/cert.pem
ssl_key = <${dir}/key.pem
mail_max_userip_connections = 100
${owner.isRoot ? '' : unprivileged(owner)}
${introspectionUrl === undefined ? '' : oauthLogins(dir)}
passdb {
  driver = static
  args = password=${password}
}
userdb {
  driver = static
  args = ${home} allow_all_users=yes
}
namespace inbox {
  inbox = yes
  separator = ${prefix.at(-1) ?? '/'}
  prefix = ${prefix}
}
${capabilities === undefined ? '' : `imap_capability = ${capabilities}`}
service imap-login {
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = ${imapsPort}
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${lmtpPort}
  }
}
service auth {
  inet_listener {
    address = 127.0.0.1
    port = ${authPort}
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`;
}

/** Everything runs as one ordinary user, who may not chroot. */
const unprivileged = ({ name, group }: Owner): string => `
default_internal_user = ${name}
default_login_user = ${name}
default_internal_group = ${group}
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
`;

const oauthLogins = (dir: string): string => `
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${dir}/oauth2.conf.ext
}
`;
