// Opens the page that the address names, and corrects Gradio's "Use via API" page while it is open. Gradio precedes each
// argument's description with a generic sentence, describes results only by such a sentence, and counts the API's
// endpoints as MCP tools.
{
  const INPUT = /The input value that is provided in the .*?\s+component\.\s*/g;
  const OUTPUT = /The output value that appears in the "(.*?)" (\w+)\s+component\./g;

  const correctText = (text, returned) => text
    .replace(INPUT, '')
    .replace(OUTPUT, (_, label, component) => component === 'Json' && returned ? returned : `${label}.`);

  const returnSentence = endpoint => {
    const sentence = endpoint.querySelector('h3 .desc')?.textContent.split(' Returns: ')[1]?.trim() ?? '';
    return sentence.charAt(0).toUpperCase() + sentence.slice(1);
  };

  const setText = (node, text) => {
    if (node && node.data !== text) node.data = text;
  };

  const correctPage = docs => {
    for (const endpoint of docs.querySelectorAll('.endpoint-container')) {
      const returned = returnSentence(endpoint);
      for (const row of endpoint.querySelectorAll('p.desc')) {
        // Keep the text node: Gradio holds a reference to it.
        for (const node of row.childNodes) if (node.nodeType === Node.TEXT_NODE) setText(node, correctText(node.data, returned));
      }
    }
    const counts = docs.querySelector('.banner-wrap .counts');
    const number = [...counts?.querySelectorAll('p > .url') ?? []].at(-1);
    if (!number) return;
    number.dataset.endpoints ??= number.textContent;
    const isMcp = counts.textContent.includes('MCP');
    const count = isMcp ? docs.querySelectorAll('.tool-item').length : number.dataset.endpoints;
    setText(number.firstChild, String(count));
  };

  const watched = new WeakSet();
  const watchPage = () => {
    const docs = document.querySelector('.api-docs');
    if (!docs || watched.has(docs)) return;
    watched.add(docs);
    new MutationObserver(() => correctPage(docs)).observe(docs, {childList: true, subtree: true, characterData: true});
    correctPage(docs);
  };
  // Gradio adds the page as a sibling of one of these, and removes it, with its observer, when it is closed.
  const siblingObserver = new MutationObserver(watchPage);
  for (let parent = element.parentElement; parent; parent = parent.parentElement) siblingObserver.observe(parent, {childList: true});
  watchPage();

  // "Copy Page" copies the same sentences. There is no clipboard outside of secure contexts.
  if (navigator.clipboard) {
    const writeText = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = text => writeText(document.querySelector('.api-docs') ? correctText(text) : text);
  }

  // Gradio 6 does not open the page that its own address (`?view=api`) names, but regards it as open. The first click on
  // the footer's button closes it, the second one opens it.
  const buttons = {api: 'button.show-api', settings: 'button.settings'};
  const selector = buttons[new URLSearchParams(location.search).get('view')];
  const openPage = triesLeft => {
    const button = document.querySelector(selector);
    if (button) {
      button.click();
      button.click();
    } else if (triesLeft) {
      setTimeout(openPage, 100, triesLeft - 1);
    }
  };
  if (selector) openPage(100);
}
