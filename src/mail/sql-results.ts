/** The result of one query, as it is told to whoever asked. Values are as PostgreSQL writes them; null is its NULL. */
export type SqlResult = {
  /** Of a saved query. */
  name: string | null;
  query: string;
  durationMs: number;
} & (SqlRows | SqlFault | SqlSaved);

export type SqlRows = {
  kind: 'rows';
  columns: { name: string; typeId: number }[];
  rows: readonly (readonly (string | null)[])[];
  /** There were more. */
  cut: 'rows' | 'bytes' | null;
};

/** A query was saved under a name. */
export type SqlSaved = { kind: 'saved'; savedAs: string };

export type SqlFault = {
  kind: 'fault';
  /** What the database was given. */
  text: string;
  message: string;
  /** Where in it. */
  at: number | null;
  hint: string | null;
  isTimeout: boolean;
  /** It was never given to the database. */
  isRefused?: boolean;
};
