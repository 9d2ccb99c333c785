/** Secrets by what they look like: their issuers give them forms that nothing else has. */
const FORMS: readonly { name: string; form: RegExp }[] = [
  { name: 'GitHub token', form: /\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255})/g },
  { name: 'GitLab token', form: /\bgl(?:pat|dt|rt|ptt|cbt)-[\w-]{20,200}/g },
  { name: 'npm token', form: /\bnpm_[A-Za-z0-9]{36}\b/g },
  { name: 'Slack token', form: /\bxox[abeoprs](?:\.xox[a-z])?-[\w-]{10,250}/g },
  { name: 'AWS access key', form: /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/g },
  {
    name: 'AWS secret key',
    form: /(?<=aws_?secret_?access_?key\b["']?\s{0,3}[=:]\s{0,3}["']?)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/gi,
  },
  { name: 'Google API key', form: /\bAIza[\w-]{35}(?![\w-])/g },
  { name: 'Stripe key', form: /\b[rs]k_live_[A-Za-z0-9]{16,200}/g },
  {
    name: 'private key',
    form: /-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----[^-]{20,20000}(?:-----END [^-]{0,60}-----)?/g,
  },
  { name: 'JSON web token', form: /\beyJ[\w-]{10,4000}\.eyJ[\w-]{10,8000}\.[\w-]{20,4000}/g },
];

/** A mail has no more: what is behind it is not looked at. */
const MOST_CHARACTERS = 1_000_000;

/** What in a text is shaped like a secret of a well-known kind. Linear in the length of the text. */
export function tokensIn(text: string): { name: string; value: string }[] {
  const looked = text.slice(0, MOST_CHARACTERS);
  return FORMS.flatMap(({ name, form }) => [...looked.matchAll(form)].map(([value]) => ({ name, value })));
}

/** The text with the name of its kind in the place of each. */
export function withoutTokens(text: string): string {
  return FORMS.reduce((shown, { name, form }) => shown.replaceAll(form, `[${name}]`), text);
}
