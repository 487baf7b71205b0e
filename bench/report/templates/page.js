// The page works without this: it adds the slider, buttons that copy tables, sorting and a filter.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const button = (className, text, action) => {
    const made = Object.assign(document.createElement('button'), {className, type: 'button'});
    made.textContent = text;
    made.addEventListener('click', () => action(made));
    return made;
  };

  // "My board has __ MiB": recolour the bars.
  const MIB = 1048576, SPARE = 0.1;
  const WORDS = {good: 'fits', tight: 'tight', bad: 'does not fit'};
  const judge = (needed, limit) =>
    needed > limit ? 'bad' : needed > (1 - SPARE) * limit ? 'tight' : 'good';
  const compare = (chart, mib) => {
    const {reserve, axis} = chart.dataset;
    for (const row of all('[data-amount]', chart)) {
      const tone = judge(+row.dataset.amount, mib * MIB - reserve);
      row.classList.remove(...Object.keys(WORDS));
      row.classList.add(tone);
      row.querySelector('.verdict').textContent = WORDS[tone];
    }
    all('.tight-bar', chart).forEach(e => e.hidden = !chart.querySelector('.row.tight'));
    const at = mib * MIB / axis;
    for (const line of all('.mine', chart)) {
      line.style.setProperty('--at', Math.min(at, 1));
      line.hidden = at > 1;
    }
    all('.limit-words').forEach(e => e.textContent = mib.toLocaleString('en') + ' MiB');
  };
  for (const control of all('.limit')) {
    const number = control.querySelector('[type=number]');
    const slider = control.querySelector('[type=range]');
    const set = mib => mib > 0 && all('.limited').forEach(chart => compare(chart, mib));
    slider.addEventListener('input', () => {
      number.value = Math.round(2 ** slider.value);
      set(+number.value);
    });
    number.addEventListener('input', () => {
      slider.value = Math.log2(number.value);
      set(+number.value);
    });
    control.hidden = false;
  }

  // Copy a table as Markdown.
  const cells = row => [...row.cells].flatMap(cell => {
    const text = cell.textContent.trim().replace(/\s+/g, ' ').replace(/\|/g, '\\|');
    return cell.classList.contains('detail') ? [] : [text + (cell.nextElementSibling?.classList
      .contains('detail') ? ' ' + cell.nextElementSibling.textContent.trim() : '')];
  });
  const markdown = table => {
    const [head, ...rows] = [...table.rows].filter(row => !row.hidden).map(cells);
    return [head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n');
  };
  const copy = text => navigator.clipboard?.writeText(text) ?? Promise.reject();
  for (const table of all('.scroll table')) {
    const place = table.closest('.scroll').previousElementSibling;
    if (!place?.classList.contains('caption')) continue;
    const done = (made, words) => {
      made.textContent = words;
      setTimeout(() => made.textContent = 'Copy as Markdown', 2000);
    };
    place.append(button('copy', 'Copy as Markdown', made => copy(markdown(table)).then(
      () => done(made, 'Copied'), () => done(made, 'The browser refused'))));
  }

  // Sort a table by a column; data-value is the number behind a text.
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  for (const table of all('table.sortable')) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const words = head.textContent;
      head.textContent = '';
      head.append(button('sort', words, () => {
        const down = head.getAttribute('aria-sort') === 'ascending';
        all('th', table).forEach(other => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1)
          * key(a, column).localeCompare(key(b, column), 'en', {numeric: true}));
        table.tBodies[0].append(...rows);
      }));
    });
  }

  // Show only machines with at least so much memory.
  for (const filter of all('.memory-filter')) {
    filter.hidden = false;
    const [least, most] = all('input', filter);
    const apply = () => all('tr[data-memory]').forEach(row => {
      const gib = row.dataset.memory / 1073741824;
      row.hidden = gib < +least.value || (most.value !== '' && gib > +most.value);
    });
    [least, most].forEach(input => input.addEventListener('input', apply));
  }
})();
