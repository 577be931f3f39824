// The texts of the reader. `{…}` is filled in.
const TEXTS = {
  en: {
    library: "Documents", page: "Page", of: "of {n}", pageOf: "Page {label} of {title}", marked: "Page {label} of {title}, with the passage marked",
    citations: "Citations", citation: "Citation {n} of {total}", previousCitation: "Previous citation", nextCitation: "Next citation",
    zoomIn: "Larger", zoomOut: "Smaller", search: "Search this document", previousHit: "Previous match", nextHit: "Next match",
    found: "{n} of {total}", nothing: "No match", copy: "Copy link", copied: "Copied", download: "Download", rows: "{n} rows", sheet: "Sheet {n}",
    sort: "Sort by {column}", cited: "Cited row", text: "Text of the document",
    missing: "There is no such document, or you may not read it.", failed: "This page cannot be drawn.", lost: "The server does not answer.",
    changed: "The document has changed since the answer was written, so the passage is not marked.",
    unlocated: "The passage could not be found in the picture of the page; it is on this page.", empty: "No text could be read from this document.",
  },
  de: {
    library: "Dokumente", page: "Seite", of: "von {n}", pageOf: "Seite {label} von {title}", marked: "Seite {label} von {title}, die Stelle ist markiert",
    citations: "Belege", citation: "Beleg {n} von {total}", previousCitation: "Voriger Beleg", nextCitation: "Nächster Beleg",
    zoomIn: "Größer", zoomOut: "Kleiner", search: "In diesem Dokument suchen", previousHit: "Voriger Treffer", nextHit: "Nächster Treffer",
    found: "{n} von {total}", nothing: "Kein Treffer", copy: "Link kopieren", copied: "Kopiert", download: "Herunterladen", rows: "{n} Zeilen", sheet: "Blatt {n}",
    sort: "Nach {column} sortieren", cited: "Zitierte Zeile", text: "Text des Dokuments",
    missing: "Dieses Dokument gibt es nicht, oder du darfst es nicht lesen.", failed: "Diese Seite kann nicht gezeichnet werden.", lost: "Der Server antwortet nicht.",
    changed: "Das Dokument hat sich seit der Antwort geändert; die Stelle ist deshalb nicht markiert.",
    unlocated: "Die Stelle wurde im Bild der Seite nicht gefunden; sie steht auf dieser Seite.", empty: "Aus diesem Dokument konnte kein Text gelesen werden.",
  },
  fr: {
    library: "Documents", page: "Page", of: "sur {n}", pageOf: "Page {label} de {title}", marked: "Page {label} de {title}, passage surligné",
    citations: "Citations", citation: "Citation {n} sur {total}", previousCitation: "Citation précédente", nextCitation: "Citation suivante",
    zoomIn: "Agrandir", zoomOut: "Réduire", search: "Chercher dans ce document", previousHit: "Résultat précédent", nextHit: "Résultat suivant",
    found: "{n} sur {total}", nothing: "Aucun résultat", copy: "Copier le lien", copied: "Copié", download: "Télécharger", rows: "{n} lignes", sheet: "Feuille {n}",
    sort: "Trier par {column}", cited: "Ligne citée", text: "Texte du document",
    missing: "Ce document n’existe pas, ou vous ne pouvez pas le lire.", failed: "Cette page ne peut pas être dessinée.", lost: "Le serveur ne répond pas.",
    changed: "Le document a changé depuis la réponse ; le passage n’est donc pas surligné.",
    unlocated: "Le passage n’a pas été trouvé dans l’image de la page ; il est sur cette page.", empty: "Aucun texte n’a pu être lu dans ce document.",
  },
  es: {
    library: "Documentos", page: "Página", of: "de {n}", pageOf: "Página {label} de {title}", marked: "Página {label} de {title}, con el pasaje marcado",
    citations: "Citas", citation: "Cita {n} de {total}", previousCitation: "Cita anterior", nextCitation: "Cita siguiente",
    zoomIn: "Ampliar", zoomOut: "Reducir", search: "Buscar en este documento", previousHit: "Resultado anterior", nextHit: "Resultado siguiente",
    found: "{n} de {total}", nothing: "Sin resultados", copy: "Copiar enlace", copied: "Copiado", download: "Descargar", rows: "{n} filas", sheet: "Hoja {n}",
    sort: "Ordenar por {column}", cited: "Fila citada", text: "Texto del documento",
    missing: "Este documento no existe, o no puedes leerlo.", failed: "Esta página no se puede dibujar.", lost: "El servidor no responde.",
    changed: "El documento ha cambiado desde la respuesta; por eso el pasaje no está marcado.",
    unlocated: "No se encontró el pasaje en la imagen de la página; está en esta página.", empty: "No se pudo leer texto de este documento.",
  },
};

export const language = (navigator.languages || []).map((tag) => tag.slice(0, 2)).find((tag) => tag in TEXTS) || "en";

/** A text in the browser's language, with its {values} filled in. */
export const text = (key, values = {}) => TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
