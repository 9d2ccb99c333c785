import { getDomain } from 'tldts';
import type { SenderAuth } from '../../config.ts';
import { LOOP_HEADER } from '../headers.ts';
import { singleAddress } from '../sender.ts';
import { judgeByDkim } from './dkim.ts';
import type { Resolve } from './dns.ts';
import { headerFields } from './header-fields.ts';
import { judgeByMicrosoft365, judgeByResults, topServIds } from './trusted-results.ts';

/** What one mail of the mailbox shows. */
export type Finding = {
  fromDomain: string;
  /** Who has written the results on top of it; empty for Microsoft's, which names nobody. */
  servIds: string[];
  /** What those results say of the sender, if they are believed. */
  byResults: string | true;
  byMicrosoft365: string | true;
  /** null where the DNS did not answer, or only the header was there. */
  byDkim: string | true | null;
};

/** Looks at a mail as every way to verify senders would. @returns null for one that says nothing: our own, or broken */
export async function examine(
  { raw, isTruncated }: { raw: Buffer; isTruncated: boolean },
  { botAddress, resolve, now }: { botAddress: string; resolve: Resolve; now: Date },
): Promise<Finding | null> {
  const fields = headerFields(raw);
  if ('fault' in fields || fields.some(({ name }) => name === LOOP_HEADER.toLowerCase())) return null;
  const from = singleAddress(fields.find(({ name }) => name === 'from')?.value ?? '');
  if (from === null) return null;
  const fromDomain = domainOf(from);
  const servIds = topServIds(fields);
  const byResults = judgeByResults(fields, fromDomain, servIds);
  const byMicrosoft365 = judgeByMicrosoft365(fields, fromDomain, domainOf(botAddress));
  const byDkim = isTruncated ? null : await judgeByDkim(raw, fields, fromDomain, { resolve, now });
  return {
    fromDomain,
    servIds,
    byResults: byResults.isVerified || byResults.reason,
    byMicrosoft365: byMicrosoft365.isVerified || byMicrosoft365.reason,
    byDkim: byDkim === null || byDkim.kind === 'later' ? null : byDkim.kind === 'verified' || byDkim.reason,
  };
}

/** The ids of one server farm, as TRUSTED_AUTHSERV_IDS takes them, and what their word is worth. */
type ServerGroup = { ids: string; mails: number; verified: number };

export type Survey = {
  mails: number;
  groups: ServerGroup[];
  /** Microsoft's form of results. */
  microsoft365: { mails: number; verified: number };
  dkim: { asked: number; verified: number };
  proposal: Proposal | null;
};

type Proposal = {
  senderAuth: SenderAuth;
  trustedAuthservIds: string | null;
  /** The From domains it would have refused, with the reason. */
  refused: { fromDomain: string; reason: string }[];
};

/** Fewer show nothing. */
const FEWEST = 3;
/** Who writes on top of so many of the mails is the receiving server, and nobody who sent one of them. */
const MOST_OF_THEM = 2 / 3;

/** What the mails have in common, and how their senders can be verified; no proposal where that is not plain. */
export function summarize(findings: readonly Finding[]): Survey {
  const groups = groupsOf(findings);
  const fromMicrosoft = findings.filter(
    ({ servIds, byMicrosoft365 }) => servIds.includes('') || byMicrosoft365 === true,
  );
  const asked = findings.filter(({ byDkim }) => byDkim !== null);
  const survey = {
    mails: findings.length,
    groups,
    microsoft365: {
      mails: fromMicrosoft.length,
      verified: count(findings, ({ byMicrosoft365 }) => byMicrosoft365),
    },
    dkim: { asked: asked.length, verified: count(findings, ({ byDkim }) => byDkim) },
  };
  return { ...survey, proposal: findings.length < FEWEST ? null : propose(findings, survey) };
}

function propose(findings: readonly Finding[], survey: Omit<Survey, 'proposal'>): Proposal | null {
  const enough = findings.length * MOST_OF_THEM;
  const { microsoft365, dkim, groups } = survey;
  if (microsoft365.mails >= enough && microsoft365.verified > 0) {
    const refused = refusedBy(findings, ({ byMicrosoft365 }) => byMicrosoft365);
    return { senderAuth: 'microsoft365', trustedAuthservIds: null, refused };
  }
  const group = groups.find(({ mails, verified }) => mails >= enough && verified > 0);
  if (group) {
    const refused = refusedBy(findings, (finding) =>
      isOf(finding, group.ids) ? finding.byResults : 'no results of that server',
    );
    return { senderAuth: 'authentication-results', trustedAuthservIds: group.ids, refused };
  }
  if (dkim.verified < enough) return null;
  return {
    senderAuth: 'dkim',
    trustedAuthservIds: null,
    refused: refusedBy(findings, ({ byDkim }) => byDkim),
  };
}

/** One id, or `*.example.com` where several of one organization were seen; those on most mails first. */
function groupsOf(findings: readonly Finding[]): ServerGroup[] {
  const byOrganization = new Map<string, Set<string>>();
  for (const id of findings.flatMap(({ servIds }) => servIds).filter((id) => id !== '')) {
    const organization = getDomain(id) ?? id;
    byOrganization.set(organization, (byOrganization.get(organization) ?? new Set()).add(id));
  }
  return [...byOrganization]
    .map(([organization, ids]) => {
      const of = ids.size > 1 ? `*.${organization}` : ([...ids][0] ?? '');
      const theirs = findings.filter((finding) => isOf(finding, of));
      return { ids: of, mails: theirs.length, verified: count(theirs, ({ byResults }) => byResults) };
    })
    .toSorted((one, other) => other.mails - one.mails);
}

/** The topmost results are theirs: what stands below may be anybody's. */
function isOf({ servIds: [top] }: Finding, ids: string): boolean {
  if (top === undefined || top === '') return false;
  return ids.startsWith('*.') ? top.endsWith(ids.slice(1)) : top === ids;
}

function refusedBy(
  findings: readonly Finding[],
  judge: (finding: Finding) => string | true | null,
): Proposal['refused'] {
  const refused = new Map<string, string>();
  for (const finding of findings) {
    const judged = judge(finding);
    if (judged !== true) refused.set(finding.fromDomain, judged ?? 'the DNS did not answer');
  }
  return [...refused].map(([fromDomain, reason]) => ({ fromDomain, reason }));
}

const count = (findings: readonly Finding[], judge: (finding: Finding) => string | true | null): number =>
  findings.filter((finding) => judge(finding) === true).length;

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);
