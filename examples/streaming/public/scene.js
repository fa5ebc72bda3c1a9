const WIDTH = 960;
const HEIGHT = 540;
const RIBBONS = [
  { hue: 172, base: 0.40, height: 0.16, length: 1.3, speed: 0.42 },
  { hue: 198, base: 0.56, height: 0.13, length: 1.9, speed: -0.31 },
  { hue: 232, base: 0.72, height: 0.10, length: 2.4, speed: 0.55 },
];
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/**
 * Scene draws the picture that is streamed where no camera is: moving ribbons and a clock, so that anyone can see that
 * it is live, and how far one tab is behind the other.
 */
export class Scene {
  #canvas;
  #context;
  #frame = 0;
  #label = "";

  constructor(canvas) {
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    this.#canvas = canvas;
    // A canvas with transparency would be recorded as two videos, one of them for the transparency.
    this.#context = canvas.getContext("2d", { alpha: false });
    this.draw();
  }

  set label(text) {
    this.#label = text;
  }

  /** stream returns the canvas as a MediaStream; every draw() adds a frame to it. */
  stream() {
    return this.#canvas.captureStream(30);
  }

  draw() {
    const now = new Date();
    const seconds = now.getTime() / 1000;
    this.#frame++;
    this.#background();
    for (const ribbon of RIBBONS) this.#ribbon(ribbon, seconds);
    this.#dial(seconds);
    this.#clock(now);
  }

  #background() {
    const context = this.#context;
    const sky = context.createLinearGradient(0, 0, 0, HEIGHT);
    sky.addColorStop(0, "#0b1222");
    sky.addColorStop(1, "#101a33");
    context.fillStyle = sky;
    context.fillRect(0, 0, WIDTH, HEIGHT);
  }

  #ribbon({ hue, base, height, length, speed }, seconds) {
    const context = this.#context;
    const crest = (x, shift) =>
      HEIGHT * (base + height * Math.sin((x / WIDTH) * length * Math.PI * 2 + seconds * speed * 2 + shift)
        * Math.cos((x / WIDTH) * 1.7 + seconds * speed));
    context.beginPath();
    for (let x = 0; x <= WIDTH; x += 12) context.lineTo(x, crest(x, 0));
    for (let x = WIDTH; x >= 0; x -= 12) context.lineTo(x, crest(x, 0.9) + HEIGHT * 0.12);
    context.closePath();
    const fill = context.createLinearGradient(0, 0, WIDTH, 0);
    const drift = (seconds * 12) % 360;
    fill.addColorStop(0, `hsl(${hue + 18 * Math.sin(drift / 40)} 72% 52% / 0.72)`);
    fill.addColorStop(1, `hsl(${hue + 46} 70% 56% / 0.42)`);
    context.fillStyle = fill;
    context.fill();
  }

  // A dial that goes round once a second, with a comet's tail: the smallest stutter shows.
  #dial(seconds) {
    const context = this.#context;
    const x = WIDTH - 106;
    const y = 216;
    const radius = 46;
    const angle = (seconds % 1) * Math.PI * 2 - Math.PI / 2;
    context.lineCap = "round";
    context.lineWidth = 8;
    context.strokeStyle = "rgb(255 255 255 / 0.16)";
    context.beginPath();
    context.arc(x, y, radius, 0, Math.PI * 2);
    context.stroke();
    for (let i = 0; i < 12; i++) {
      context.strokeStyle = `rgb(255 255 255 / ${0.08 * (i + 1)})`;
      context.beginPath();
      context.arc(x, y, radius, angle - 1.5 + i * 0.125, angle - 1.5 + (i + 1) * 0.125);
      context.stroke();
    }
  }

  #clock(now) {
    const context = this.#context;
    const two = (number) => String(number).padStart(2, "0");
    const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
    context.textBaseline = "alphabetic";
    context.fillStyle = "#fff";
    context.font = `600 112px ${FONT}`;
    // Every character gets a place of the same width, so that the clock does not tremble.
    let x = 60;
    for (const character of time) {
      const width = character === ":" ? 40 : 78;
      context.textAlign = "center";
      context.fillText(character, x + width / 2, HEIGHT - 92);
      x += width;
    }
    context.textAlign = "left";
    context.font = `500 44px ${FONT}`;
    context.fillStyle = "rgb(255 255 255 / 0.75)";
    context.fillText(`.${Math.floor(now.getMilliseconds() / 100)}`, x + 4, HEIGHT - 92);
    context.font = `500 24px ${FONT}`;
    context.fillText(`${this.#label}   frame ${this.#frame}`.trim(), 64, HEIGHT - 46);
  }
}
