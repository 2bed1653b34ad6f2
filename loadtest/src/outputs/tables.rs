//! Tables and lists of a page.
//!
//! Owns the escaping of their cells: what comes in is plain text unless a function says that it is HTML.

use std::fmt::Write;

use super::page::Escaped;

/// A cell of a table.
pub(crate) enum Cell {
    /// Text.
    Text(String),
    /// The name of a row.
    Name(String),
    /// A figure, on the right.
    Figure(String),
    /// Something that is code.
    Code(String),
    /// Whether something held.
    Mark(bool),
    /// HTML made by this crate.
    Html(String),
    /// HTML made by this crate that deserves width.
    Wide(String),
}

/// A table whose wide rows scroll within it.
pub(crate) struct Table {
    about: &'static str,
    head: String,
    rows: String,
}

impl Table {
    /// A table without rows; `about` names it for those who do not see the heading above.
    pub(crate) fn new<'a>(about: &'static str, head: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let mut cells = String::new();
        for (title, is_figure) in head {
            let class = if is_figure { " class=\"number\"" } else { "" };
            let _ = write!(cells, "<th scope=\"col\"{class}>{}</th>", Escaped(title));
        }
        Self { about, head: cells, rows: String::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        self.classed("", cells)
    }

    /// Adds a row that sums the others up.
    pub(crate) fn total(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        self.classed(" class=\"total\"", cells)
    }

    /// Adds a heading over the rows that follow.
    pub(crate) fn group(&mut self, title: &str, columns: usize) -> &mut Self {
        let title = Escaped(title);
        let _ = write!(
            self.rows,
            "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{columns}\">{title}</th></tr>"
        );
        self
    }

    fn classed(&mut self, class: &str, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let _ = write!(self.rows, "<tr{class}>");
        for cell in cells {
            self.rows.push_str(&cell.html());
        }
        self.rows.push_str("</tr>");
        self
    }

    /// The table as HTML.
    pub(crate) fn html(&self) -> String {
        format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table><thead><tr>{}</tr></thead>\
             <tbody>{}</tbody></table></div>",
            Escaped(self.about),
            self.head,
            self.rows
        )
    }
}

impl Cell {
    fn html(&self) -> String {
        match self {
            Self::Text(text) => format!("<td>{}</td>", Escaped(text)),
            Self::Name(text) => format!("<th scope=\"row\">{}</th>", Escaped(text)),
            Self::Figure(text) => format!("<td class=\"number\">{}</td>", Escaped(text)),
            Self::Code(text) => format!("<td><code>{}</code></td>", Escaped(text)),
            Self::Mark(true) => "<td class=\"mark good\"><span aria-label=\"held\">✓</span></td>".into(),
            Self::Mark(false) => "<td class=\"mark bad\"><span aria-label=\"broken\">✗</span></td>".into(),
            Self::Html(html) => format!("<td>{html}</td>"),
            Self::Wide(html) => format!("<td class=\"wide\">{html}</td>"),
        }
    }
}

/// A section under a heading; `inner` is HTML.
pub(crate) fn section(heading: &str, inner: &str) -> String {
    format!("<section><h2>{}</h2>{inner}</section>", Escaped(heading))
}

/// Key figures: the figure, what it is, and what else there is to say of it.
pub(crate) fn tiles(tiles: &[(String, &str, String)]) -> String {
    let mut out = "<div class=\"tiles\">".to_owned();
    for (figure, what, more) in tiles {
        let (figure, what, more) = (Escaped(figure), Escaped(what), Escaped(more));
        let _ =
            write!(out, "<div class=\"tile\"><b>{figure}</b><span>{what}</span><small>{more}</small></div>");
    }
    out + "</div>"
}

/// Names and what they are.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut out = "<dl>".to_owned();
    for (name, what) in facts {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(&what));
    }
    out + "</dl>"
}

/// A list; empty where there is nothing to list.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for item in items {
        let _ = write!(out, "<li>{}</li>", Escaped(item));
    }
    if out.is_empty() { out } else { format!("<ul>{out}</ul>") }
}
