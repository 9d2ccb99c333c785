export type DovecotPlaces = {
  imapPort: number;
  password: string;
  /** For its sockets. Short, see LONGEST_RUN_DIR. */
  runDir: string;
  storeDir: string;
  user: string;
  group: string;
};

/**
 * The whole dovecot.conf (Dovecot 2.3) for a server that never was root: one user for all of it, IMAP on 127.0.0.1,
 * LMTP on a socket of that user, and every address a mailbox under one password.
 */
export function dovecotSettings(places: DovecotPlaces): string {
  return ['# Written by Threadbox at each start.', server(places), accounts(places), MAILBOXES].join('\n');
}

const server = ({ imapPort, runDir, user, group }: DovecotPlaces): string => `
base_dir = ${quote(runDir)}
state_dir = ${quote(runDir)}
log_path = /dev/stderr
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = ${user}
default_internal_group = ${group}
default_login_user = ${user}
default_process_limit = 200
default_client_limit = 3000
service anvil {
  chroot =
}
# Processes wait for their first client, and serve the next after it: starting one takes longer than its work.
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
service imap {
  service_count = 100
  process_min_avail = 1
}
service lmtp {
  service_count = 0
  process_min_avail = 1
  unix_listener lmtp {
    mode = 0600
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0600
  }
}
`;

const accounts = ({ password, storeDir }: DovecotPlaces): string => `
first_valid_uid = 1
# The letters in front keep a name of dots from being a directory above.
mail_home = ${quote(`${storeDir.replaceAll('%', '%%')}/of-%Lu`)}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 500
auth_mechanisms = plain login
auth_username_format = %Lu
auth_username_chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@!$&'*=?^{|}~"
auth_cache_size = 1 M
disable_plaintext_auth = no
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
passdb {
  driver = static
  args = password={PLAIN}${password}
}
userdb {
  driver = static
  args = allow_all_users=yes
}
`;

const MAILBOXES = `
namespace inbox {
  inbox = yes
  separator = /
${['Sent', 'Drafts', 'Trash', 'Junk']
  .map(
    (name) => `  mailbox ${name} {
    auto = subscribe
    special_use = \\${name}
  }`,
  )
  .join('\n')}
}
`;

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, String.raw`\$&`)}"`;
}
