import { z } from 'zod';
import type { Db } from '../store/database.ts';
import type { Listed, Page } from '../store/pages.ts';
import type { Problem } from './problem.ts';
import { route, type ApiParts, type Route } from './route.ts';
import { withoutSecrets } from './said.ts';
import { list, listBody, pageOfQuery, paging } from './schemas.ts';

type Params = Readonly<Record<string, string>>;

/** A list that is given out in parts, to whoever may read: its filters, its rows, and how each is shown. */
export function listRoute<Filter extends z.ZodRawShape, Row>({
  filter,
  item,
  rows,
  shown,
  ...declared
}: Pick<Route, 'path' | 'name' | 'summary' | 'refusals'> & {
  filter: Filter;
  item: z.ZodType;
  rows: (
    db: Db,
    filter: z.output<z.ZodObject<Filter>>,
    page: Page,
    params: Params,
  ) => Promise<Listed<Row> | { problem: Problem }>;
  shown: (row: Row, parts: ApiParts, at: Date) => unknown;
}): Route {
  return route({
    ...declared,
    method: 'get',
    role: 'read',
    query: z.strictObject({ ...filter, ...paging }),
    answers: { 200: list(item) },
    async handle({ parts, params, query }) {
      // Both shapes in one object: what the filters are is known, what is left of the paging does not matter to them.
      const filters = query as unknown as z.output<z.ZodObject<Filter>>;
      const page = pageOfQuery(query as Parameters<typeof pageOfQuery>[0]);
      const found = await rows(parts.db, filters, page, params);
      if ('problem' in found) return found;
      const at = parts.now();
      const items = await withoutSecrets(parts, found.items.map((row) => shown(row, parts, at))); // prettier-ignore
      return { body: listBody({ ...found, items }, (one) => one) };
    },
  });
}
