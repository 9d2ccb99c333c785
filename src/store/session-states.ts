/**
 * - `active`: its container is there, as far as anybody knows.
 * - `removing`: saved and verified; its container is about to go, or has gone.
 * - `save_failed`: its work could not be saved; the container is stopped, and kept.
 * - `ended`: over.
 */
export type SessionState = 'active' | 'removing' | 'save_failed' | 'ended';

/** The ways that docs/lifecycle.md draws; a session that stays what it is takes none. */
export const NEXT_STATES: Readonly<Record<SessionState, readonly SessionState[]>> = {
  active: ['removing', 'save_failed', 'ended'],
  save_failed: ['removing', 'active', 'ended'],
  removing: ['ended', 'active'],
  ended: [],
};

/** Those that a session may be in when it becomes that. */
export function statesBefore(next: SessionState): SessionState[] {
  const states = Object.keys(NEXT_STATES) as SessionState[];
  return states.filter((state) => NEXT_STATES[state].includes(next));
}
