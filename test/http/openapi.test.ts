import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApiDocument } from '../../src/http/openapi.ts';
import { allRoutes } from './client.ts';

test('of each POST the document says what comes of it when its answer is lost on the way and it is sent again', () => {
  const { paths } = openApiDocument(allRoutes, '0') as {
    paths: Record<string, { post?: { description: string } }>;
  };
  const posts = allRoutes.filter(({ method }) => method === 'post');
  assert.ok(posts.length > 8);
  for (const { path, again } of posts) {
    assert.ok(again, path);
    assert.ok(paths[`/api/v1${path}`]?.post?.description.endsWith(`. Sent again: ${again}.`), path);
  }
});
