import type { z } from 'zod';
import type { Activity } from '../activity.ts';
import type { Config } from '../config.ts';
import type { Operator } from '../lifecycle/operate.ts';
import type { Log } from '../log.ts';
import type { Masks } from '../secrets/masks.ts';
import type { TokenRole } from '../store/api-tokens.ts';
import type { Db } from '../store/database.ts';
import type { Problem } from './problem.ts';
import type { LetInBy } from './web-sessions.ts';

/** What the routes work with. */
export type ApiParts = {
  db: Db;
  operator: Operator;
  activity: Activity;
  config: Pick<
    Config,
    | 'botAddress'
    | 'adminAddresses'
    | 'loginByMail'
    | 'publicUrl'
    | 'containerIdleTimeoutMs'
    | 'containerGracePeriodMs'
    | 'containerMaxPerUser'
    | 'containerExtendMaxMs'
    | 'hostMaxContainers'
    | 'savedStateDays'
    | 'workspaceLimit'
    | 'workspaceSizeBytes'
    | 'hasOpenMetrics'
  >;
  workspaceLimit: { way: 'quota' | 'image' | 'measured' | 'off' };
  /** What is masked in what is told of a repository, by its name. */
  masksOf: (repositoryName: string) => Promise<Masks>;
  now: () => Date;
  log: Log;
};

/** Who asks. `by` is their token's name, or an admin's address; `letInBy` is null for anybody. */
export type Caller = { by: string; role: TokenRole; letInBy: LetInBy | null; csrfToken: string | null };

export type ApiRequest<Query, Body> = {
  parts: ApiParts;
  caller: Caller;
  params: Readonly<Record<string, string>>;
  query: Query;
  body: Body;
  headers: Headers;
  /** Where it comes from, as far as the connection tells. */
  address: string;
  /** Ends when the client goes, or the bot stops. */
  signal: AbortSignal;
  /** Whether the caller would still be let in. */
  isStillLetIn: () => Promise<boolean>;
};

/** A value becomes JSON, with dates in ISO 8601. */
export type Reply = { status?: 200 | 202; body: unknown } | { problem: Problem } | Response;

/** What an answer that is no JSON is made of. */
export type MediaType = { mediaType: string; description: string };

/** One thing the API can do: from this the router, the checks and the OpenAPI document are made. */
export type Route = {
  method: 'get' | 'post';
  /** Below /api/v1, with parameters as in `/commands/{id}`. */
  path: string;
  /** Its name in the OpenAPI document. */
  name: string;
  summary: string;
  /** null: for anybody. */
  role: TokenRole | null;
  /** Of a POST: what it comes to when it is sent once more, as where its answer was lost on the way. */
  again?: string;
  query?: z.ZodObject;
  body?: z.ZodObject;
  answers: Readonly<Record<number, z.ZodType | MediaType>>;
  /** The refusals that belong to this route alone, by their status. */
  refusals?: Readonly<Record<number, string>>;
  handle: (request: ApiRequest<Record<string, unknown>, Record<string, unknown>>) => Promise<Reply>;
};

/** A route whose query and body have the types that their schemas say. */
export function route<Query extends z.ZodObject = z.ZodObject, Body extends z.ZodObject = z.ZodObject>(
  declared: Omit<Route, 'query' | 'body' | 'handle'> & {
    query?: Query;
    body?: Body;
    handle: (request: ApiRequest<z.output<Query>, z.output<Body>>) => Promise<Reply>;
  },
): Route {
  // The router hands over what these very schemas have read.
  return declared as unknown as Route;
}
