/** Every mail of ours carries this header, so that none is ever taken for a command. */
export const LOOP_HEADER = 'X-Threadbox';
