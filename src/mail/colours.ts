type Rgb = readonly [red: number, green: number, blue: number];

/** What `ESC [ ... m` has set so far. */
export type Style = {
  foreground: Rgb | null;
  background: Rgb | null;
  isBold: boolean;
  isFaint: boolean;
  isItalic: boolean;
  isUnderlined: boolean;
  isStruck: boolean;
  isInverse: boolean;
};

export const PLAIN: Style = {
  foreground: null,
  background: null,
  isBold: false,
  isFaint: false,
  isItalic: false,
  isUnderlined: false,
  isStruck: false,
  isInverse: false,
};

/** The output block is dark in light mode as well: programs choose their colours for a dark terminal. */
export const BLOCK_BACKGROUND = '#12161c';
export const BLOCK_TEXT = '#e3e8ef';

/** The sixteen named colours, lighter than a terminal's own so that each is read easily on the block. */
const NAMED: readonly Rgb[] = [
  '21262d ff7b72 4cc764 d9a63a 6cb0ff c79bff 4bcad6 c9d1d9',
  '8b949e ffa39b 6fdd86 ecc35f 93c8ff dcb4ff 74dde6 ffffff',
].flatMap((row) => row.split(' ').map((colour) => fromHex(colour)));
const CUBE_STEPS = [0, 95, 135, 175, 215, 255];
const LEAST_CONTRAST = 4.5;

/**
 * The style after one SGR sequence (ECMA-48, 8.3.117), given its parameters: `1;31`, `38;5;208`, `38:2::255:0:0`.
 * What is not known changes nothing.
 */
export function applySgr(style: Style, parameters: string): Style {
  const next = { ...style };
  const queue = parameters.split(';').slice(0, 64);
  while (queue.length > 0) {
    const [code = '', ...sub] = (queue.shift() ?? '').split(':');
    const number = Number(code);
    if (number === 38 || number === 48) {
      const colour =
        sub.length > 0 ? extendedColour(sub.length > 4 ? sub.toSpliced(1, 1) : sub) : takeColour(queue);
      if (colour) next[number === 38 ? 'foreground' : 'background'] = colour;
    } else if (number === 0) Object.assign(next, PLAIN);
    else if (number === 4) next.isUnderlined = sub[0] !== '0';
    else applyCode(next, number);
  }
  return next;
}

/** Inline CSS for a style on the output block; empty for plain text. */
export function styleCss(style: Style): string {
  let { foreground, background } = style;
  if (style.isInverse) {
    [foreground, background] = [
      background ?? fromHex(BLOCK_BACKGROUND.slice(1)),
      foreground ?? fromHex(BLOCK_TEXT.slice(1)),
    ];
  }
  const rules = [];
  if (background) {
    const written = foreground ?? fromHex(BLOCK_TEXT.slice(1));
    rules.push(`color:${toHex(readableOn(background, written))}`, `background-color:${toHex(background)}`);
  } else if (style.isFaint) {
    rules.push(
      `color:${toHex(mixed(foreground ?? fromHex('b4bfcc'), fromHex(BLOCK_BACKGROUND.slice(1)), 0.3))}`,
    );
  } else if (foreground) {
    rules.push(`color:${toHex(lightened(foreground))}`);
  }
  if (style.isBold) rules.push('font-weight:bold');
  if (style.isItalic) rules.push('font-style:italic');
  const lines = [style.isUnderlined && 'underline', style.isStruck && 'line-through'].filter(Boolean);
  if (lines.length > 0) rules.push(`text-decoration:${lines.join(' ')}`);
  return rules.join(';');
}

function applyCode(style: Style, code: number): void {
  if (code === 1) style.isBold = true;
  else if (code === 2) style.isFaint = true;
  else if (code === 3) style.isItalic = true;
  else if (code === 7) style.isInverse = true;
  else if (code === 9) style.isStruck = true;
  else if (code === 21) style.isUnderlined = true;
  else if (code === 22) style.isBold = style.isFaint = false;
  else if (code === 23) style.isItalic = false;
  else if (code === 24) style.isUnderlined = false;
  else if (code === 27) style.isInverse = false;
  else if (code === 29) style.isStruck = false;
  else if (code >= 30 && code <= 37) style.foreground = NAMED[code - 30] ?? null;
  else if (code === 39) style.foreground = null;
  else if (code >= 40 && code <= 47) style.background = NAMED[code - 40] ?? null;
  else if (code === 49) style.background = null;
  else if (code >= 90 && code <= 97) style.foreground = NAMED[code - 82] ?? null;
  else if (code >= 100 && code <= 107) style.background = NAMED[code - 92] ?? null;
}

/** The older notation, `38;5;208`: the colour is in the parameters that follow. */
function takeColour(queue: string[]): Rgb | null {
  if (queue[0] === '5') return extendedColour(queue.splice(0, 2));
  if (queue[0] === '2') return extendedColour(queue.splice(0, 4));
  return null;
}

function extendedColour([mode, ...values]: string[]): Rgb | null {
  const numbers = values.map(Number);
  if (!numbers.every((value) => Number.isInteger(value) && value >= 0 && value <= 255)) return null;
  const [first = 0, second = 0, third = 0] = numbers;
  if (mode === '2') return numbers.length >= 3 ? [first, second, third] : null;
  if (mode !== '5' || numbers.length === 0) return null;
  if (first < 16) return NAMED[first] ?? null;
  if (first >= 232) return [8 + 10 * (first - 232), 8 + 10 * (first - 232), 8 + 10 * (first - 232)];
  const index = first - 16;
  return [cubeStep(Math.floor(index / 36)), cubeStep(Math.floor(index / 6) % 6), cubeStep(index % 6)];
}

const cubeStep = (at: number) => CUBE_STEPS[at] ?? 0;

function lightened(colour: Rgb): Rgb {
  const block = fromHex(BLOCK_BACKGROUND.slice(1));
  for (let share = 0; share < 1; share += 0.1) {
    const lighter = mixed(colour, [255, 255, 255], share);
    if (contrast(lighter, block) >= LEAST_CONTRAST) return lighter;
  }
  return [255, 255, 255];
}

function readableOn(background: Rgb, written: Rgb): Rgb {
  if (contrast(written, background) >= LEAST_CONTRAST) return written;
  const [dark, light]: [Rgb, Rgb] = [
    [0, 0, 0],
    [255, 255, 255],
  ];
  return contrast(dark, background) > contrast(light, background) ? dark : light;
}

/** WCAG 2.2, contrast ratio: 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** sRGB: from a channel's byte to its share of light. */
function linear(value: number): number {
  return value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4;
}

function mixed(one: Rgb, other: Rgb, share: number): Rgb {
  const part = (at: 0 | 1 | 2) => Math.round(one[at] * (1 - share) + other[at] * share);
  return [part(0), part(1), part(2)];
}

/** Six digits. */
export function fromHex(hex: string): Rgb {
  const part = (at: number) => Number.parseInt(hex.slice(at, at + 2), 16);
  return [part(0), part(2), part(4)];
}

function toHex(colour: Rgb): string {
  return `#${colour.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}
