import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findThread,
  type FoundThread,
  type RepositoryRef,
  type ThreadFacts,
  type ThreadRef,
} from '../../src/threads/find-thread.ts';

const APP: RepositoryRef = { id: 1, name: 'app', threadBy: null };
const SITE: RepositoryRef = { id: 2, name: 'Site', threadBy: null };
const named = (name: string, label = '') => ({ name, label, rest: '' });

function thread(repository: RepositoryRef, label = ''): ThreadRef {
  const suffix = label === '' ? '' : `#${label}`;
  return {
    threadId: `john@example.com-${repository.name}${suffix}`,
    repositoryId: repository.id,
    repositoryName: repository.name,
    label,
  };
}

function found(repository: RepositoryRef, label = ''): FoundThread {
  const { threadId, repositoryId } = thread(repository, label);
  return { kind: 'thread', threadId, repositoryId, label };
}

const find = (facts: Partial<ThreadFacts>): FoundThread =>
  findThread({
    sender: 'john@example.com',
    answeredThread: null,
    tag: null,
    plusName: null,
    bodyLine: null,
    conversationThread: null,
    repositories: [APP, SITE],
    subject: 'Add login',
    threadBy: 'repository',
    ...facts,
  });

const candidates = ['app', 'Site'];
const CASES: Readonly<Record<string, [Partial<ThreadFacts>, FoundThread]>> = {
  'an answer to our mail goes to its thread': [{ answeredThread: thread(APP) }, found(APP)],
  'an answer goes to its thread whatever else is named': [
    {
      answeredThread: thread(APP, 'two'),
      plusName: 'site',
      bodyLine: named('site'),
      conversationThread: thread(SITE),
    },
    found(APP, 'two'),
  ],
  'an answer with the tag of its repository stays in its thread, which has a label': [
    { answeredThread: thread(APP, 'two'), tag: named('APP') },
    found(APP, 'two'),
  ],
  'an answer with the tag of another repository goes there': [
    { answeredThread: thread(APP), tag: named('site') },
    found(SITE),
  ],
  'an answer with another label goes there': [
    { answeredThread: thread(APP), tag: named('app', 'two') },
    found(APP, 'two'),
  ],
  'an answer to a thread of a repository that is gone is told so': [
    { answeredThread: { ...thread(APP), repositoryId: 9, repositoryName: 'old' } },
    { kind: 'unknown-repository', name: 'old', candidates },
  ],
  'a tag names the repository, of whatever case': [{ tag: named('SITE') }, found(SITE)],
  'a tag with a label names a second thread': [{ tag: named('app', 'two') }, found(APP, 'two')],
  'a tag weighs more than an address, an address more than a line': [
    { tag: named('app'), plusName: 'site', bodyLine: named('site') },
    found(APP),
  ],
  'an address names the repository': [{ plusName: 'site', bodyLine: named('app') }, found(SITE)],
  'a first line names the repository': [{ bodyLine: named('app', 'x') }, found(APP, 'x')],
  'an unknown name is told, also when there is only one repository': [
    { tag: named('ap'), repositories: [APP] },
    { kind: 'unknown-repository', name: 'ap', candidates: ['app'] },
  ],
  'a known subject continues its conversation': [{ conversationThread: thread(SITE, 'x') }, found(SITE, 'x')],
  'a named repository weighs more than a known subject': [
    { conversationThread: thread(SITE), tag: named('app') },
    found(APP),
  ],
  'an empty subject is no conversation': [
    { conversationThread: thread(SITE), subject: 'Re: ' },
    { kind: 'ask', candidates },
  ],
  'a conversation about a repository that is gone does not count': [
    { conversationThread: { ...thread(APP), repositoryId: 9 } },
    { kind: 'ask', candidates },
  ],
  'the only repository needs no name': [{ repositories: [APP] }, found(APP)],
  'with several repositories and nothing that tells which, the sender is asked': [
    {},
    { kind: 'ask', candidates },
  ],
  'without any repository the sender is told so': [{ repositories: [] }, { kind: 'ask', candidates: [] }],
};
for (const [what, [facts, expected]] of Object.entries(CASES)) {
  test(what, () => assert.deepEqual(find(facts), expected));
}

test('where each subject is a thread, the slug of the subject names it, and a label still does', () => {
  const bySubject = { ...APP, threadBy: 'subject' } as const;
  const expected = {
    kind: 'thread',
    threadId: 'john@example.com-app-add-login',
    repositoryId: 1,
    label: 'add-login',
  };
  const tag = named('app');
  const subject = 'Re: [app] Add login';
  assert.deepEqual(find({ tag, subject, threadBy: 'subject' }), expected);
  assert.deepEqual(find({ tag, subject, repositories: [bySubject] }), expected);
  assert.deepEqual(find({ subject: 'Add login', repositories: [bySubject] }), expected);
  assert.deepEqual(find({ tag: named('app', 'two'), subject, threadBy: 'subject' }), found(APP, 'two'));
  const byRepository = { ...APP, threadBy: 'repository' } as const;
  assert.deepEqual(find({ tag, subject, threadBy: 'subject', repositories: [byRepository] }), found(APP));
});
