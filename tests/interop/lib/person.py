"""A person with a browser that has no scripting: follows redirects, keeps cookies, fills in forms, presses buttons."""

import http.client
import re
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

REFUSALS = re.compile(r"deny|cancel|abort|decline|refuse|reject|stay|switch", re.I)
# What nobody presses who wants in.
LEAVING = re.compile(r"logout|log.?out|sign.?(\w+.)?out", re.I)


class Forms(HTMLParser):
    """The forms of a page, with their fields; a button outside a form may name it."""

    def __init__(self):
        super().__init__()
        self.forms, self.buttons, self._open, self._button = [], [], None, None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self._open = {"id": attributes.get("id"), "action": attributes.get("action", ""),
                          "method": attributes.get("method", "get").lower(), "fields": []}
            self.forms.append(self._open)
        elif tag in ("input", "button"):
            field = {"type": attributes.get("type", "submit" if tag == "button" else "text").lower(),
                     "name": attributes.get("name"), "value": attributes.get("value") or "",
                     "checked": "checked" in attributes, "label": ""}
            if tag == "button":
                self._button = field
            if attributes.get("form"):
                self.buttons.append((attributes["form"], field))
            elif self._open is not None:
                self._open["fields"].append(field)

    def handle_endtag(self, tag):
        if tag == "form":
            self._open = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data):
        if self._button is not None:
            self._button["label"] += data


class Answer:
    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.location = headers.get("location") if 300 <= status < 400 else None


class Person:
    def __init__(self, name, provider="npm"):
        self.name, self.provider, self.cookies, self.pages = name, provider, {}, []
        self.leaving = False

    def visit(self, url, end=None):
        """Opens `url` and goes on until a redirect leads to something that begins with `end`, which may be a page;
        gives that URL, or the last page where there is no way on."""
        answer, self.pages = self.get(url), []
        for _ in range(30):
            if answer.location:
                url = urljoin(answer.url, answer.location)
                if end and url.startswith(end):
                    return url
                answer = self.get(url)
                continue
            assert answer.status == 200, f"{answer.url}: {answer.status} {answer.body[:400]}"
            self.pages.append(answer)
            form = self.choose(answer)
            if form is None:
                assert not end, f"{answer.url}: a page without a way on: {answer.body[:400]}"
                return answer
            answer = self.submit(answer, form)
        raise AssertionError(f"{url}: no end after 30 steps")

    def choose(self, page):
        parsed = Forms()
        parsed.feed(page.body)
        ways = []
        for form in parsed.forms:
            form["fields"] += [button for name, button in parsed.buttons if name == form["id"]]
            buttons = [field for field in form["fields"] if field["type"] == "submit"
                       and not self.refuses(f"{field['value']} {field['label']} {form['action']}")]
            if buttons:
                ways.append((form, buttons[0]))
        for form, button in ways:
            if f"/login/{self.provider}" in form["action"]:
                return form, button
        return ways[0] if ways else None

    def refuses(self, words):
        return REFUSALS.search(words) or (not self.leaving and LEAVING.search(words))

    def submit(self, page, way):
        form, button = way
        fields = []
        for field in form["fields"]:
            if field["type"] == "submit" or not field["name"]:
                continue
            if field["type"] in ("checkbox", "radio"):
                if field["checked"]:
                    fields.append((field["name"], field["value"] or "on"))
            else:
                typed = field["value"] if field["type"] == "hidden" else field["value"] or self.name
                fields.append((field["name"], typed))
        if button["name"]:
            fields.append((button["name"], button["value"]))
        url = urljoin(page.url, form["action"] or page.url)
        if form["method"] != "post":
            return self.get(url.partition("?")[0] + "?" + urlencode(fields))
        parts = urlsplit(page.url)
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": f"{parts.scheme}://{parts.netloc}"}
        return self.request("POST", url, urlencode(fields), headers)

    def get(self, url):
        return self.request("GET", url, None, {})

    def request(self, method, url, body, headers):
        parts = urlsplit(url)
        assert parts.scheme == "http", url
        cookies = [pair for (host, _), pair in self.cookies.items() if host == parts.netloc]
        headers = {"accept": "text/html,*/*;q=0.8", "accept-language": "en", "user-agent": "Person/1.0", **headers}
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("set-cookie") or []:
                self.keep(parts.netloc, line)
            text = response.read().decode("utf-8", "replace")
            return Answer(url, response.status, response.headers, text)
        finally:
            connection.close()

    def keep(self, host, line):
        """Every cookie goes to every path of its host: more than a browser sends, never less."""
        pair, *attributes = [part.strip() for part in line.split(";")]
        name = pair.partition("=")[0]
        gone = pair.endswith("=") or any(attribute.lower().replace(" ", "") == "max-age=0" or "1970" in attribute for attribute in attributes)
        if gone:
            self.cookies.pop((host, name), None)
        else:
            self.cookies[(host, name)] = pair


if __name__ == "__main__":
    import sys

    # person.py NAME PROVIDER URL [END]: prints where it ended.
    who = Person(sys.argv[1], sys.argv[2])
    ended = who.visit(sys.argv[3], *sys.argv[4:5])
    print(ended if isinstance(ended, str) else ended.url)
