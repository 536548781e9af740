// What is painted over the lines of a chart: thresholds, readings of doubtful quality, and where
// the page was too slow.

/** Marks of quality that are painted at a time. */
const MOST = 2000;

/** Dashed lines at the limits, and a tint beyond them. */
export function paintLimits(plot, limit, { danger }) {
  if (!limit) return;
  const { ctx, bbox } = plot;
  ctx.save();
  clip(plot);
  ctx.strokeStyle = ctx.fillStyle = danger;
  for (const [value, beyond] of [
    [limit.high, bbox.top],
    [limit.low, bbox.top + bbox.height],
  ]) {
    if (value === null) continue;
    const y = Math.round(plot.valToPos(value, "y", true));
    ctx.globalAlpha = 0.08;
    ctx.fillRect(bbox.left, Math.min(y, beyond), bbox.width, Math.abs(beyond - y));
    ctx.globalAlpha = 1;
    line(ctx, [6, 4], bbox.left, y, bbox.left + bbox.width, y);
  }
  ctx.restore();
}

/** A ring for an uncertain reading, a cross for a bad one. */
export function paintQualities(plot, sensors, { from, to }, { danger, warning, surface }) {
  const { ctx } = plot;
  const size = 4 * devicePixelRatio;
  let painted = 0;
  ctx.save();
  clip(plot);
  ctx.lineWidth = 2 * devicePixelRatio;
  for (const { series } of sensors) {
    const end = series.firstAfter(to);
    for (let index = series.firstAfter(from); index < end && painted < MOST; index += 1) {
      const quality = series.qualities[index];
      if (quality === 0) continue;
      painted += 1;
      const x = plot.valToPos(series.times[index] / 1000, "x", true);
      const y = plot.valToPos(series.values[index], "y", true);
      if (quality === 1) ring(ctx, x, y, size, warning, surface);
      else cross(ctx, x, y, size, danger);
    }
  }
  ctx.restore();
}

/** A dotted line where readings were left out. */
export function paintLeftOut(plot, leftOut, { from, to }, { warning }) {
  const { ctx, bbox } = plot;
  ctx.save();
  clip(plot);
  ctx.strokeStyle = warning;
  for (const { at } of leftOut) {
    if (at < from || at > to) continue;
    const x = Math.round(plot.valToPos(at / 1000, "x", true));
    line(ctx, [2, 3], x, bbox.top, x, bbox.top + bbox.height);
  }
  ctx.restore();
}

function ring(ctx, x, y, size, colour, inside) {
  ctx.strokeStyle = colour;
  ctx.fillStyle = inside;
  ctx.beginPath();
  ctx.arc(x, y, size, 0, 2 * Math.PI);
  ctx.fill();
  ctx.stroke();
}

function cross(ctx, x, y, size, colour) {
  ctx.strokeStyle = colour;
  ctx.beginPath();
  ctx.moveTo(x - size, y - size);
  ctx.lineTo(x + size, y + size);
  ctx.moveTo(x + size, y - size);
  ctx.lineTo(x - size, y + size);
  ctx.stroke();
}

function line(ctx, dash, ...[x, y, toX, toY]) {
  ctx.setLineDash(dash.map((each) => each * devicePixelRatio));
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(toX, toY);
  ctx.stroke();
}

function clip({ ctx, bbox }) {
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
}
