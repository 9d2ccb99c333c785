import { el, svg } from './dom.js';

const [WIDTH, HEIGHT, FLOOR, LEFT] = [320, 120, 100, 28];

/** A picture with its words: whoever does not see it is told the same. */
function chart({ title, summary, points }, drawing) {
  const ends = [points[0], points[Math.floor(points.length / 2)], points.at(-1)];
  const places = [LEFT, (LEFT + WIDTH) / 2, WIDTH];
  const anchors = ['start', 'middle', 'end'];
  return el(
    'figure',
    { class: 'chart' },
    el('figcaption', {}, el('strong', {}, title), el('span', { class: 'dim' }, summary)),
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

const heightOf = (value, most) => (most === 0 ? 0 : (value / most) * (FLOOR - 14));

const scale = (most, unit = '') =>
  svg(
    'text',
    { x: LEFT - 4, y: 14, 'text-anchor': 'end' },
    `${most < 10 ? Math.round(most * 10) / 10 : Math.round(most)}${unit}`,
  );

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
    scale(most),
    ...points.map(({ label, value }, index) => bar('bar-all', value, index, label)),
    ...points
      .filter(({ part }) => part > 0)
      .map((point) => bar('bar-part', point.part, points.indexOf(point), `${point.label}, not 0`)),
  ]);
}

/** @param {{ title: string, summary: string, unit?: string, points: { label: string, values: (number | null)[] }[] }} of */
export function lines(of) {
  const { points, unit } = of;
  const known = points.flatMap(({ values }) => values.filter((value) => value !== null));
  const most = known.length === 0 ? 1 : Math.max(...known, 0.001);
  const step = (WIDTH - LEFT) / Math.max(1, points.length - 1);
  const place = (index, value) => [LEFT + index * step, FLOOR - heightOf(value, most)];
  const seriesCount = points[0]?.values.length ?? 0;
  const drawn = Array.from({ length: seriesCount }, (_, series) => {
    const dots = points.flatMap(({ values }, index) =>
      values[series] === null ? [] : [place(index, values[series])],
    );
    return svg(
      'g',
      { class: `series-${series}` },
      svg('polyline', { points: dots.map((dot) => dot.map((one) => one.toFixed(1)).join(',')).join(' ') }),
      ...dots.map(([x, y]) => svg('circle', { cx: x.toFixed(1), cy: y.toFixed(1), r: 2 })),
    );
  });
  return chart(of, [scale(most, unit), ...drawn]);
}
