// A person with a browser that has no scripting: follows redirects, keeps cookies, fills in forms, presses buttons.

import http from 'node:http'

// What the person types, by the name of the field.
const TYPED = { password: 'not needed' }
// What the person does not press while trying to get in. Of a path only whole segments count: the random ones of
// interactions spell "deny" now and then.
const REFUSALS = /deny|cancel|abort|decline|refuse|reject|logout|sign.?out|switch/i
const REFUSING_PATH = new RegExp(`/(?:${REFUSALS.source})(?:[/?#]|$)`, 'i')

export class Person {
  #cookies = new Map()

  constructor(name, { provider = 'demo', agent } = {}) {
    this.name = name
    this.provider = provider
    this.agent = agent
    this.pages = []
  }

  // Opens `url` and goes on until a redirect leads to something that begins with `end`; gives that URL.
  async visit(url, end) {
    let answer = await this.get(url)
    this.pages = []
    for (let step = 0; step < 30; step++) {
      if (answer.location) {
        const next = new URL(answer.location, answer.url)
        if (end && next.href.startsWith(end)) return next
        answer = await this.get(next)
        continue
      }
      if (answer.status !== 200) throw new Error(`${answer.url}: ${answer.status} ${summary(answer.body)}`)
      this.pages.push(answer)
      const form = chooseForm(answer, this.provider)
      if (!form) {
        if (!end) return answer
        throw new Error(`${answer.url}: a page without a way on: ${summary(answer.body)}`)
      }
      answer = await this.submit(answer, form)
    }
    throw new Error(`${url}: no end after 30 steps`)
  }

  // Opens `url`, follows redirects only, and gives the page, or the redirect that leads to `end`.
  async open(url, end) {
    let answer = await this.get(url)
    while (answer.location) {
      const next = new URL(answer.location, answer.url)
      if (end && next.href.startsWith(end)) return next
      answer = await this.get(next)
    }
    return answer
  }

  submit(page, form) {
    const fields = new URLSearchParams()
    for (const field of form.fields) {
      if (field.type === 'submit') continue
      const typed = field.type === 'hidden' ? field.value : (TYPED[field.name] ?? (field.value || this.name))
      if (field.type === 'checkbox' || field.type === 'radio') {
        if (field.checked) fields.append(field.name, field.value || 'on')
      } else fields.append(field.name, typed)
    }
    const button = form.fields.find((field) => field.type === 'submit' && !REFUSALS.test(`${field.value} ${field.label}`))
    if (button?.name) fields.append(button.name, button.value)
    const action = new URL(form.action || page.url, page.url)
    if (form.method !== 'post') {
      action.search = fields
      return this.get(action)
    }
    return this.request('POST', action, {
      'content-type': 'application/x-www-form-urlencoded',
      origin: new URL(page.url).origin,
    }, fields.toString())
  }

  // The values of the cookies that `host` set.
  cookieValues(host) {
    return [...this.#cookies].filter(([key]) => key.startsWith(`${host} `)).map(([, pair]) => pair.slice(pair.indexOf('=') + 1))
  }

  // What the person's browser would send to `host`.
  cookieHeader(host) {
    return [...this.#cookies].filter(([key]) => key.startsWith(`${host} `)).map(([, pair]) => pair).join('; ')
  }

  get(url) {
    return this.request('GET', new URL(url), {})
  }

  request(method, url, headers, body = '') {
    const cookie = this.cookieHeader(url.host)
    return new Promise((resolve, reject) => {
      const request = http.request(url, {
        method,
        agent: this.agent,
        headers: {
          accept: 'text/html,*/*;q=0.8',
          'accept-language': 'en',
          'user-agent': 'Person/1.0',
          'content-length': Buffer.byteLength(body),
          ...(cookie ? { cookie } : {}),
          ...headers,
        },
      }, (response) => {
        for (const line of response.headers['set-cookie'] ?? []) this.#keep(url, line)
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({
          url: url.href,
          status: response.statusCode,
          headers: response.headers,
          location: response.statusCode >= 300 && response.statusCode < 400 ? response.headers.location : undefined,
          body: Buffer.concat(chunks).toString(),
        }))
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  // Every cookie goes to every path of its host: more than a browser sends, never less.
  #keep(url, line) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim())
    const name = pair.slice(0, pair.indexOf('='))
    const gone = attributes.some((attribute) => {
      const [key, value] = attribute.split('=')
      if (/^max-age$/i.test(key)) return Number(value) <= 0
      return /^expires$/i.test(key) && Date.parse(value) < Date.now()
    })
    if (gone) this.#cookies.delete(`${url.host} ${name}`)
    else this.#cookies.set(`${url.host} ${name}`, pair)
  }
}

// The form that leads on: the one for the person's provider where there are several, else the first with a button
// that does not refuse.
function chooseForm(page, provider) {
  const forms = parseForms(page.body).filter((form) => form.fields.some((field) =>
    field.type === 'submit' && !REFUSALS.test(`${field.value} ${field.label}`) && !REFUSING_PATH.test(form.action)))
  return forms.find((form) => form.action.includes(`/login/${provider}`)) ?? forms[0]
}

function parseForms(html) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([whole, head, inner]) => {
    const id = attribute(head, 'id')
    const outside = parseFields(html.replace(whole, '')).filter((field) => id && field.form === id)
    return {
      action: attribute(head, 'action'),
      method: attribute(head, 'method').toLowerCase(),
      fields: [...parseFields(inner), ...outside],
    }
  })
}

function parseFields(html) {
  return [...html.matchAll(/<(?:input\b([^>]*)>|button\b([^>]*)>([\s\S]*?)<\/button>)/gi)].map(([, input, button, label]) => {
    const attributes = input ?? button
    return {
      type: (attribute(attributes, 'type') || (label === undefined ? 'text' : 'submit')).toLowerCase(),
      name: attribute(attributes, 'name'),
      value: attribute(attributes, 'value'),
      form: attribute(attributes, 'form'),
      checked: /\bchecked\b/i.test(attributes),
      label: (label ?? '').replace(/<[^>]*>/g, '').trim(),
    }
  }).filter((field) => field.name || field.type === 'submit')
}

function attribute(text, name) {
  const found = text.match(new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i'))
  return unescape(found?.[1] ?? found?.[2] ?? found?.[3] ?? '')
}

function unescape(text) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) =>
    hex ? String.fromCodePoint(parseInt(hex, 16)) : decimal ? String.fromCodePoint(Number(decimal)) : (named[name] ?? whole))
}

function summary(html) {
  return html.replace(/<style[\s\S]*?<\/style>/gi, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').slice(0, 300)
}
