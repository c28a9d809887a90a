// How the search ranks what it finds: as Sphinx does, but that pages which explain go before pages which list.
var Scorer = {
  score: ([docname, title, anchor, descr, score, filename, kind]) => {
    const lists = /^(reference|notebooks|project|results|experiments)/;
    return kind !== SearchResultKind.object && lists.test(docname) ? score - 12 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
