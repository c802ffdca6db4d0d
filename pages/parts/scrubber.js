// One clip holds A, B and their difference. Each is drawn from it onto its own canvas, so all show the same frame.
const instances = new WeakMap()

export default function (component) {
  const { data, parentElement } = component
  let instance = instances.get(parentElement)
  if (!instance) {
    instance = new Scrubber(parentElement)
    instances.set(parentElement, instance)
  }
  instance.take(data)
  return () => {
    instance.end()
    instances.delete(parentElement)
  }
}

class Scrubber {
  constructor(root) {
    this.find = (name) => root.querySelector("." + name)
    this.video = this.find("clip")
    this.range = this.find("range")
    this.frame = 0
    this.wanted = null
    this.source = ""
    this.video.addEventListener("seeked", () => this.seeked())
    this.video.addEventListener("loadeddata", () => this.seek(this.frame))
    this.video.addEventListener("error", () => { this.find("where").textContent = "The clip could not be loaded." })
    this.video.addEventListener("play", () => this.playing(true))
    this.video.addEventListener("pause", () => this.playing(false))
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)))
    this.find("play").addEventListener("click", () => this.toggle())
    this.find("back").addEventListener("click", () => this.step(-1))
    this.find("forth").addEventListener("click", () => this.step(1))
    this.struck = (event) => this.key(event)
    document.addEventListener("keydown", this.struck)
    this.resized = new ResizeObserver(() => this.plot())
    this.resized.observe(this.find("plots"))
  }

  end() {
    document.removeEventListener("keydown", this.struck)
    this.resized.disconnect()
    this.video.pause()
  }

  take(data) {
    this.data = data
    if (this.source === data.source) return
    this.source = data.source
    this.frame = 0
    this.range.max = data.num_frames - 1
    this.pictures()
    this.plot()
    this.say()
    this.video.src = data.source
  }

  pictures() {
    const place = this.find("pictures")
    place.replaceChildren()
    this.canvases = this.data.panels.map((panel) => {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas")
      const caption = document.createElement("figcaption"), strong = document.createElement("strong")
      figure.className = panel.name
      canvas.width = panel.width
      canvas.height = panel.height
      canvas.style.imageRendering = panel.width < 200 ? "pixelated" : "auto"
      canvas.style.maxWidth = Math.round(420 * panel.width / panel.height) + "px"
      canvas.setAttribute("role", "img")
      canvas.setAttribute("aria-label", panel.title + ": " + panel.detail)
      strong.textContent = panel.title
      caption.append(strong, " " + panel.detail)
      figure.append(canvas, caption)
      place.append(figure)
      return canvas
    })
  }

  draw(frame) {
    this.frame = frame
    this.data.panels.forEach((panel, number) => {
      const context = this.canvases[number].getContext("2d")
      context.clearRect(0, 0, panel.width, panel.height)
      if (frame < panel.num_frames) {
        context.drawImage(this.video, panel.x, panel.y, panel.width, panel.height, 0, 0, panel.width, panel.height)
      }
    })
    this.say()
  }

  say() {
    this.range.value = this.frame
    this.find("where").textContent = "Frame " + (this.frame + 1) + " of " + this.data.num_frames
    this.find("measured").textContent = this.measures(this.frame)
    this.range.setAttribute("aria-valuetext", this.find("where").textContent + ", " + this.measures(this.frame))
    this.find("scrubbing").dataset.frame = this.frame + 1
    this.mark()
  }

  measures(frame) {
    const { psnr_db, ssim } = this.data
    if (frame >= psnr_db.length) return psnr_db.length ? "not measured: only one of them has this frame" : ""
    if (psnr_db[frame] === null) return "equal, pixel for pixel"
    const likeness = ssim[frame] === null ? "" : " · SSIM " + ssim[frame].toFixed(3)
    return "PSNR " + psnr_db[frame].toFixed(1) + " dB" + likeness
  }

  // Where it is

  seek(frame) {
    this.video.pause()
    this.wanted = Math.min(Math.max(frame, 0), this.data.num_frames - 1)
    this.frame = this.wanted
    this.say()
    if (!this.video.seeking) this.go()
  }

  go() {
    this.going = this.wanted
    this.wanted = null
    this.video.currentTime = (this.going + 0.5) / this.data.fps
  }

  seeked() {
    if (this.wanted !== null) return this.go()
    if (this.video.paused && this.going !== undefined) this.draw(this.going)
  }

  step(by) {
    this.seek((this.frame + by + this.data.num_frames) % this.data.num_frames)
  }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {})
    else this.seek(this.frame)
  }

  playing(on) {
    const button = this.find("play")
    button.textContent = on ? "❚❚" : "▶\uFE0E" /* as a letter, not as a picture */
    button.setAttribute("aria-label", on ? "Pause" : "Play")
    if (on) this.follow()
  }

  follow() {
    const shown = (_now, about) => {
      if (this.video.paused) return
      const time = about ? about.mediaTime : this.video.currentTime
      this.draw(Math.min(Math.floor(time * this.data.fps + 0.01), this.data.num_frames - 1))
      this.follow()
    }
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(shown)
    else requestAnimationFrame(shown)
  }

  key(event) {
    const target = event.composedPath()[0]
    const typing = target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && target !== this.range)) return
    if (["BUTTON", "A", "SUMMARY"].includes(target.tagName) && event.key === " ") return
    const last = this.data.num_frames - 1
    const actions = { " ": () => this.toggle(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
                      Home: () => this.seek(0), End: () => this.seek(last) }
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    action()
  }

  // The plots: PSNR and SSIM of each frame

  plot() {
    const place = this.find("plots")
    place.replaceChildren()
    if (!this.data || !this.data.psnr_db.length) return
    const rows = [["PSNR", " dB", this.data.psnr_db, 1], ["SSIM", "", this.data.ssim, 3]]
    for (const [title, unit, values, digits] of rows) {
      const known = values.filter((value) => value !== null)
      if (known.length) place.append(this.chart(title, unit, values, known, digits))
    }
    this.mark()
  }

  chart(title, unit, values, known, digits) {
    const width = Math.max(this.find("plots").clientWidth, 200), height = 84
    const spread = Math.max(...known) - Math.min(...known) || Math.abs(known[0]) * 0.01 || 1
    const low = Math.min(...known) - 0.1 * spread, high = Math.max(...known) + 0.1 * spread
    const x = (frame) => this.data.num_frames < 2 ? width / 2 : 8 + (width - 16) * frame / (this.data.num_frames - 1)
    const y = (value) => value === null ? 4 : 6 + (height - 12) * (high - value) / (high - low)
    const box = document.createElement("div"), head = document.createElement("div")
    box.className = "chart"
    head.className = "charthead"
    const lowest = values.indexOf(Math.min(...known))
    const name = document.createElement("strong"), worst = document.createElement("button")
    const said = (places) => [Math.min(...known).toFixed(places), Math.max(...known).toFixed(places)]
    let [least, most] = said(digits)
    for (let places = digits + 1; least === most && places <= 6; places += 1) [least, most] = said(places)
    if (least === most) [least, most] = said(digits)
    name.textContent = title + (least === most ? " " + least : " " + least + " to " + most) + unit
    worst.textContent = "lowest at frame " + (lowest + 1)
    worst.addEventListener("click", () => this.seek(lowest))
    head.append(name, worst)
    const svg = shape("svg", { viewBox: "0 0 " + width + " " + height, height, role: "img" })
    svg.setAttribute("aria-label", title + " of each frame; " + worst.textContent)
    svg.append(shape("polyline", { class: "line", points: values.map((v, n) => x(n) + "," + y(v)).join(" ") }))
    values.forEach((value, n) => svg.append(shape("circle", {
      class: value === null ? "dot equal" : "dot", cx: x(n), cy: y(value), r: values.length > 60 ? 1.5 : 3 })))
    const line = shape("line", { class: "mark", y1: 0, y2: height })
    svg.append(line)
    const tip = document.createElement("div")
    tip.className = "tip"
    const at = (event) => {
      const edge = svg.getBoundingClientRect()
      const part = (event.clientX - edge.left - 8) / Math.max(edge.width - 16, 1)
      return Math.min(Math.max(Math.round(part * (this.data.num_frames - 1)), 0), this.data.num_frames - 1)
    }
    svg.addEventListener("pointermove", (event) => {
      const frame = at(event)
      tip.textContent = "Frame " + (frame + 1) + ": " + this.measures(frame)
      tip.style.display = "block"
      tip.style.left = Math.min(Math.max(x(frame) - tip.offsetWidth / 2, 0), width - tip.offsetWidth) + "px"
    })
    svg.addEventListener("pointerleave", () => { tip.style.display = "none" })
    svg.addEventListener("click", (event) => this.seek(at(event)))
    box.append(head, svg, tip)
    box.place = (frame) => { line.setAttribute("x1", x(frame)); line.setAttribute("x2", x(frame)) }
    return box
  }

  mark() {
    for (const box of this.find("plots").children) box.place(this.frame)
  }
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}
