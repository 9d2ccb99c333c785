# Writes on top of each mail who sent it, for SENDER_AUTH=authentication-results. Postfix takes mail only from users who
# have logged in, and only under their own address (RFC 5321, MAIL FROM); here it is seen that From says the same. What
# else calls itself a result was put there by the sender.
require ["envelope", "variables", "editheader"];

deleteheader "Authentication-Results";
if envelope :all :matches "from" "?*" {
  set :lower "sender" "${1}${2}";
  if envelope :domain :matches "from" "*" {
    set :lower "domain" "${1}";
  }
  if address :all :is "from" "${sender}" {
    addheader "Authentication-Results" "threadbox-mail; dmarc=pass header.from=${domain}";
  }
}
