import { z } from 'zod';
import { parseMailUrl } from './config-mail-url.ts';

// The forms that settings have, each with a fault that says what is expected.

export const wholeNumber = (least: number, most: number, unit: string, fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text);
      if (/^\d+$/.test(text) && value >= least && value <= most) return value;
      context.addIssue(`expected a whole number of ${unit} from ${least} to ${most}, e.g. ${fallback}`);
      return z.NEVER;
    });

export const decimal = (least: number, most: number, unit: string, fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text);
      if (/^\d+(?:\.\d+)?$/.test(text) && value >= least && value <= most) return value;
      context.addIssue(`expected a number of ${unit} from ${least} to ${most}, e.g. ${fallback} or 1.5`);
      return z.NEVER;
    });

export const mailServer = (scheme: 'imap' | 'smtp') =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return null;
      const example = `${scheme}s://user:password@mail.example.com:${scheme === 'imap' ? 993 : 465}`;
      const parsed = parseMailUrl(scheme, text);
      if (typeof parsed !== 'string') return parsed;
      context.addIssue(`${parsed}; expected e.g. ${example}`);
      return z.NEVER;
    });

export const url = (protocols: readonly string[], example: string) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return null;
      if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
      context.addIssue(`expected ${example}`);
      return z.NEVER;
    });

/** `https://host` or `http://host:port`, with nothing behind it. */
export const origin = (example: string) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return null;
      if (/^https?:\/\/[^/?#@\s]+\/?$/i.test(text) && URL.canParse(text)) return new URL(text).origin;
      context.addIssue(`expected the address of the page with nothing behind it, e.g. ${example}`);
      return z.NEVER;
    });

export const listOf = (form: RegExp, expected: string) =>
  z
    .string()
    .default('')
    .transform((text, context) => {
      const items = text
        .toLowerCase()
        .split(/[\s,;]+/)
        .filter((item) => item !== '');
      const strange = items.filter((item) => !form.test(item));
      if (strange.length === 0) return items;
      context.addIssue(`expected ${expected}, separated by commas; not understood: ${strange.join(' ')}`);
      return z.NEVER;
    });

/** `host:port`, `[::1]:port`, `:port` for all addresses of the machine; `off` for none. */
export const listenAddress = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      if (text.toLowerCase() === 'off') return null;
      const [, bracketed, plain = '', written] =
        /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]*)):(\d{1,5})$/.exec(text) ?? [];
      const port = Number(written);
      if (written !== undefined && port <= 65_535) return { host: bracketed ?? (plain || '0.0.0.0'), port };
      context.addIssue(`expected host:port, e.g. ${fallback}, or off`);
      return z.NEVER;
    });
