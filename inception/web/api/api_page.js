// Opens what the address names, and corrects Gradio's "Use via API" page while it is open. Gradio puts a generic
// sentence before each argument's own, shows nothing else for a result, and counts the API's endpoints as MCP tools.
{
  const INPUT = /The input value that is provided in the .*?\s+component\.\s*/g;
  const OUTPUT = /The output value that appears in the "(.*?)" (\w+)\s+component\./g;

  const corrected = (text, returned) => text
    .replace(INPUT, '')
    .replace(OUTPUT, (_, label, component) => component === 'Json' && returned ? returned : `${label}.`);

  const returnedBy = endpoint => {
    const sentence = endpoint.querySelector('h3 .desc')?.textContent.split(' Returns: ')[1]?.trim() ?? '';
    return sentence.charAt(0).toUpperCase() + sentence.slice(1);
  };

  const set = (node, text) => {
    if (node && node.data !== text) node.data = text;
  };

  const correct = docs => {
    for (const endpoint of docs.querySelectorAll('.endpoint-container')) {
      const returned = returnedBy(endpoint);
      for (const row of endpoint.querySelectorAll('p.desc')) {
        // The text node stays: Gradio keeps a reference to it.
        for (const node of row.childNodes) if (node.nodeType === Node.TEXT_NODE) set(node, corrected(node.data, returned));
      }
    }
    const counts = docs.querySelector('.banner-wrap .counts');
    const number = [...counts?.querySelectorAll('p > .url') ?? []].at(-1);
    if (!number) return;
    number.dataset.endpoints ??= number.textContent;
    const isMcp = counts.textContent.includes('MCP');
    const count = isMcp ? docs.querySelectorAll('.tool-item').length : number.dataset.endpoints;
    set(number.firstChild, String(count));
  };

  const watched = new WeakSet();
  const find = () => {
    const docs = document.querySelector('.api-docs');
    if (!docs || watched.has(docs)) return;
    watched.add(docs);
    new MutationObserver(() => correct(docs)).observe(docs, {childList: true, subtree: true, characterData: true});
    correct(docs);
  };
  // Gradio adds the page beside one of these, and removes it when it is closed; the observer of it ends with it.
  const opened = new MutationObserver(find);
  for (let parent = element.parentElement; parent; parent = parent.parentElement) opened.observe(parent, {childList: true});
  find();

  // "Copy Page" has the same sentences. There is no clipboard outside of secure contexts.
  if (navigator.clipboard) {
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = text => write(document.querySelector('.api-docs') ? corrected(text) : text);
  }

  // Gradio 6 does not open what its own address (`?view=api`) names: it only takes it for open. The first press of the
  // footer's button closes it, the second one opens it.
  const buttons = {api: 'button.show-api', settings: 'button.settings'};
  const name = buttons[new URLSearchParams(location.search).get('view')];
  const press = triesLeft => {
    const button = document.querySelector(name);
    if (button) {
      button.click();
      button.click();
    } else if (triesLeft) {
      setTimeout(press, 100, triesLeft - 1);
    }
  };
  if (name) press(100);
}
