/** How access tokens are had; the client's secret and the refresh token are among the secrets. */
export type OauthConfig = { tokenUrl: string; clientId: string; scope: string | null };

export const OAUTH_PROVIDERS = ['google', 'microsoft'] as const;

const PROVIDERS: { [Name in (typeof OAUTH_PROVIDERS)[number]]: { tokenUrl: string; scope: string | null } } =
  {
    google: { tokenUrl: 'https://oauth2.googleapis.com/token', scope: null },
    microsoft: {
      tokenUrl: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
      scope:
        'https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access',
    },
  };

export type OauthValues = {
  OAUTH_PROVIDER?: keyof typeof PROVIDERS | undefined;
  OAUTH_TOKEN_URL: string | null;
  OAUTH_CLIENT_ID?: string | undefined;
  OAUTH_REFRESH_TOKEN?: string | undefined;
};

/** @returns null where nothing uses it; or what is missing, one line for each */
export function oauthConfig(values: OauthValues, isUsed: boolean): OauthConfig | null | string[] {
  if (!isUsed) return null;
  const { OAUTH_PROVIDER: provider, OAUTH_CLIENT_ID: clientId, OAUTH_TOKEN_URL } = values;
  const tokenUrl = OAUTH_TOKEN_URL ?? (provider ? PROVIDERS[provider].tokenUrl : null);
  const faults = [
    ...(clientId ? [] : ['OAUTH_CLIENT_ID: expected with auth=xoauth2: as the provider has given it']),
    ...(values.OAUTH_REFRESH_TOKEN ? [] : ['OAUTH_REFRESH_TOKEN: expected with auth=xoauth2']),
    ...(tokenUrl
      ? []
      : ['OAUTH_PROVIDER: expected google or microsoft with auth=xoauth2, or an OAUTH_TOKEN_URL']),
  ];
  if (faults.length > 0 || !clientId || !tokenUrl) return faults;
  return { tokenUrl, clientId, scope: provider ? PROVIDERS[provider].scope : null };
}
