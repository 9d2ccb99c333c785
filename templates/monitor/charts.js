import { el, svg } from './dom.js';

const [WIDTH, HEIGHT, FLOOR, LEFT] = [320, 120, 100, 36];

/** A picture with its words: whoever does not see it is told the same. */
function chart({ title, summary, points, names = [] }, drawing) {
  const ends = [points[0], points[Math.floor(points.length / 2)], points.at(-1)];
  const places = [LEFT, (LEFT + WIDTH) / 2, WIDTH];
  const anchors = ['start', 'middle', 'end'];
  return el(
    'figure',
    { class: 'chart' },
    el('figcaption', {}, el('strong', {}, title), el('span', { class: 'dim' }, summary, ...names.map(keyOf))),
    svg(
      'svg',
      { viewBox: `0 0 ${WIDTH + 4} ${HEIGHT}`, role: 'img', 'aria-label': `${title}: ${summary}` },
      ...drawing,
      svg('line', { class: 'axis', x1: LEFT, x2: WIDTH, y1: FLOOR, y2: FLOOR }),
      ...ends.map((point, index) =>
        svg('text', { x: places[index], y: HEIGHT - 6, 'text-anchor': anchors[index] }, point?.label ?? ''),
      ),
    ),
  );
}

/** What a line is called, with a piece of it. */
const keyOf = (name, series) =>
  el(
    'span',
    { class: 'key' },
    svg(
      'svg',
      { class: `series-${series}`, viewBox: '0 0 24 8', 'aria-hidden': 'true' },
      svg('polyline', { points: '0,4 24,4' }),
      svg('circle', { cx: 12, cy: 4, r: 3 }),
    ),
    name,
  );

const heightOf = (value, most) => (most === 0 ? 0 : (value / most) * (FLOOR - 14));

const rounded = (value) => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
const inSeconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${rounded(value)} s`);

const scale = (words) => svg('text', { x: LEFT - 4, y: 14, 'text-anchor': 'end' }, words);

/** @param {{ title: string, summary: string, points: { label: string, value: number, part: number }[] }} of */
export function bars(of) {
  const { points } = of;
  const most = Math.max(1, ...points.map(({ value }) => value));
  const step = (WIDTH - LEFT) / points.length;
  const bar = (className, value, index, label) => {
    const height = heightOf(value, most);
    return svg(
      'rect',
      {
        class: className,
        x: LEFT + index * step + 1,
        y: FLOOR - height,
        width: Math.max(1, step - 2),
        height,
      },
      svg('title', {}, `${label}: ${value}`),
    );
  };
  return chart(of, [
    scale(rounded(most)),
    ...points.map(({ label, value }, index) => bar('bar-all', value, index, label)),
    ...points
      .filter(({ part }) => part > 0)
      .map((point) => bar('bar-part', point.part, points.indexOf(point), `${point.label}, not 0`)),
  ]);
}

/**
 * @param {{ title: string, summary: string, names: string[],
 *   points: { label: string, values: (number | null)[] }[] }} of seconds, as many of each point as there are names
 */
export function lines(of) {
  const { points, names } = of;
  const known = points.flatMap(({ values }) => values.filter((value) => value !== null));
  const most = known.length === 0 ? 1 : Math.max(...known, 0.001);
  const step = (WIDTH - LEFT) / Math.max(1, points.length - 1);
  const place = (index, value) => [LEFT + index * step, FLOOR - heightOf(value, most)];
  const drawn = names.map((name, series) => {
    const dots = points.flatMap(({ label, values }, index) => {
      const value = values[series];
      return value === null
        ? []
        : [{ at: place(index, value), words: `${label}, ${name}: ${inSeconds(value)}` }];
    });
    return svg(
      'g',
      { class: `series-${series}` },
      svg('polyline', { points: dots.map(({ at }) => at.map((one) => one.toFixed(1)).join(',')).join(' ') }),
      ...dots.map(({ at: [x, y], words }) =>
        svg('circle', { cx: x.toFixed(1), cy: y.toFixed(1), r: 2.5 }, svg('title', {}, words)),
      ),
    );
  });
  return chart(of, [scale(inSeconds(most)), ...drawn]);
}
