//! Documents that are meant to hurt: each is refused, and the guard looks at no more nodes than the
//! text has bytes, whatever they would expand to.

use super::*;

/// What an attack is, its text, and how its refusal begins.
struct Attack {
    name: String,
    text: String,
    refusal: &'static str,
}

fn attack(name: impl Into<String>, text: impl Into<String>, refusal: &'static str) -> Attack {
    Attack {
        name: name.into(),
        text: text.into(),
        refusal,
    }
}

/// Fragments of which each spreads the next one several times.
fn bomb(levels: usize, width: usize, leaf: &str) -> String {
    let mut text = "{...F0}".to_owned();
    for level in 0..levels {
        let next = format!("...F{} ", level + 1).repeat(width);
        text.push_str(&format!("fragment F{level} on Query{{{next}}}"));
    }
    text + &format!("fragment F{levels} on Query{{{leaf}}}")
}

fn fragments() -> Vec<Attack> {
    const WIDE: &str = "the document has too many fields once its fragments are spread";
    const CYCLE: &str = "a fragment spreads itself";
    let mut all = vec![
        attack("bomb of 30 levels", bomb(30, 2, "a"), WIDE),
        attack("bomb of 49 levels", bomb(49, 2, "a"), WIDE),
        attack("wide bomb", bomb(5, 40, "a"), WIDE),
        attack(
            "bomb without a field at its end",
            bomb(30, 2, "...Nothing"),
            WIDE,
        ),
        attack("bomb of __typename", bomb(30, 2, "__typename"), WIDE),
        attack(
            "bomb in a mutation",
            format!("mutation{}", bomb(30, 2, "a")),
            WIDE,
        ),
        attack(
            "bomb in a subscription",
            format!("subscription{}", bomb(3, 2, "a")),
            "a document holds one subscription",
        ),
        attack(
            "bomb of inline fragments",
            bomb(30, 2, "...{a}...on Query{a}"),
            WIDE,
        ),
        attack(
            "bomb inside a field",
            bomb(30, 2, "a").replacen("{...F0}", "{b{...F0}}", 1),
            WIDE,
        ),
        attack(
            "bomb behind @include",
            bomb(30, 2, "a @include(if:false)"),
            WIDE,
        ),
        attack(
            "bomb in the second operation",
            format!("query A{{a}}query B{}", bomb(30, 2, "a")),
            WIDE,
        ),
        attack(
            "many fragments",
            many(51, |n| format!("fragment F{n} on Query{{a}}"), "{a}"),
            "the document has too many fragments",
        ),
        attack("cycle of one", "{...A}fragment A on Query{...A}", CYCLE),
        attack(
            "cycle of two",
            "{...A}fragment A on Query{...B}fragment B on Query{...A}",
            CYCLE,
        ),
        attack(
            "cycle that nobody spreads",
            "{a}fragment A on Query{...B}fragment B on Query{...A}",
            CYCLE,
        ),
        attack(
            "cycle through a field",
            "{...A}fragment A on Query{a{b{...A}}}",
            CYCLE,
        ),
        attack(
            "cycle through an inline fragment",
            "{...A}fragment A on Query{...on Query{...A}}",
            CYCLE,
        ),
        attack(
            "two cycles",
            "{...A}fragment A on Query{...A ...B}fragment B on Query{...B}",
            CYCLE,
        ),
        attack(
            "fragment defined twice",
            "{a}fragment A on Query{a}fragment A on Query{b}",
            "the document cannot be used: two fragments",
        ),
    ];
    let ring = many(
        50,
        |n| format!("fragment F{n} on Query{{...F{}}}", (n + 1) % 50),
        "{...F0}",
    );
    all.push(attack("ring of 50", ring, CYCLE));
    let tower = many(
        40,
        |n| format!("fragment F{n} on Query{{a{{...F{}}}}}", n + 1),
        "{...F0}",
    );
    all.push(attack(
        "depth through fragments",
        tower + "fragment F40 on Query{a}",
        "fields are nested",
    ));
    all
}

fn many(count: usize, part: impl Fn(usize) -> String, first: &str) -> String {
    (0..count).fold(first.to_owned(), |text, n| text + &part(n))
}

fn nesting() -> Vec<Attack> {
    let nest =
        |open: &str, close: &str, times: usize| open.repeat(times) + "a" + &close.repeat(times);
    let brackets = "brackets are nested";
    vec![
        attack("60,000 braces", "{".repeat(60_000), brackets),
        attack(
            "60,000 square brackets",
            format!("{{a(b:{}", "[".repeat(60_000)),
            brackets,
        ),
        attack("60,000 parentheses", "(".repeat(60_000), brackets),
        attack(
            "lists in lists",
            format!("{{a(b:{})}}", nest("[", "]", 20_000)),
            brackets,
        ),
        attack(
            "objects in objects",
            format!("{{a(b:{})}}", nest("{a:", "}", 15_000)),
            brackets,
        ),
        attack(
            "types in types",
            format!("query($a:{}){{a}}", nest("[", "]", 20_000)),
            brackets,
        ),
        attack(
            "inline fragments in each other",
            nest("{...", "}", 10_000),
            brackets,
        ),
        attack(
            "13 fields in each other",
            nest("{a", "}", 13),
            "fields are nested",
        ),
        attack(
            "39 fields in each other",
            nest("{a", "}", 38),
            "fields are nested",
        ),
        attack(
            "depth in the second operation",
            format!("query A{{a}}query B{}", nest("{a", "}", 20)),
            "fields are nested",
        ),
        attack(
            "brackets behind a string",
            format!("{{a(b:\"x\"){}", "{".repeat(60_000)),
            brackets,
        ),
        attack(
            "brackets behind a comment",
            format!("#\n{}", "{".repeat(60_000)),
            brackets,
        ),
        attack(
            "brackets behind a block string",
            format!("{{a(b:\"\"\"\"\"\"){}", "[".repeat(60_000)),
            brackets,
        ),
        attack(
            "a default value in depth",
            format!("query($a:A={}){{a}}", nest("[", "]", 20_000)),
            brackets,
        ),
    ]
}

fn floods() -> Vec<Attack> {
    let times = |part: &str, count: usize| part.repeat(count);
    let aliases = many(31, |n| format!("a{n}:a "), "{") + "}";
    let spread_aliases = many(31, |n| format!("...{{a{n}:a}}"), "{") + "}";
    vec![
        attack("aliases", aliases, "the document has too many aliases"),
        attack(
            "aliases in inline fragments",
            spread_aliases,
            "the document has too many aliases",
        ),
        attack(
            "aliases in a fragment",
            many(31, |n| format!("a{n}:a "), "{...F}fragment F on Query{") + "}",
            "the document has too many aliases",
        ),
        attack(
            "7,000 aliases",
            many(7_000, |n| format!("a{n}:a "), "{") + "}",
            "the document has too many aliases",
        ),
        attack(
            "directives on a field",
            format!("{{a {}}}", times("@a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "20,000 directives",
            format!("{{a {}}}", times("@a ", 20_000)),
            "the document has too many directives",
        ),
        attack(
            "directives on an operation",
            format!("query A {}{{a}}", times("@a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "directives on a spread",
            format!("{{...F {}}}fragment F on Query{{a}}", times("@a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "directives on a variable",
            format!("query($a:A {}){{a}}", times("@a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "directives spread over fields",
            format!("{{{}}}", times("a @a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "directives on a fragment",
            format!("{{a}}fragment F on Query {}{{a}}", times("@a ", 21)),
            "the document has too many directives",
        ),
        attack(
            "variables",
            many(51, |n| format!("$a{n}:A "), "query(") + "){a}",
            "the document has too many variables",
        ),
        attack(
            "variables over operations",
            many(
                10,
                |n| format!("query Q{n}({}){{a}}", many(6, |m| format!("$a{m}:A "), "")),
                "",
            ),
            "the document has too many variables",
        ),
        attack(
            "operations",
            many(11, |n| format!("query Q{n}{{a}}"), ""),
            "the document has too many operations",
        ),
        attack(
            "fields",
            format!("{{{}}}", times("a ", 2_001)),
            "the document has too many fields",
        ),
        attack(
            "30,000 fields",
            format!("{{{}}}", times("a ", 30_000)),
            "the document has too many fields",
        ),
        attack(
            "a huge list",
            format!("{{a(b:[{}])}}", times("1 ", 1_001)),
            "the document has too many values",
        ),
        attack(
            "a list of 30,000",
            format!("{{a(b:[{}])}}", times("1 ", 30_000)),
            "the document has too many values",
        ),
        attack(
            "a huge object",
            many(1_001, |n| format!("c{n}:1 "), "{a(b:{") + "})}",
            "the document has too many values",
        ),
        attack(
            "a huge default value",
            format!("query($a:A=[{}]){{a}}", times("1 ", 1_001)),
            "the document has too many values",
        ),
        attack(
            "arguments",
            format!("{{a({})}}", times("b:1 ", 1_001)),
            "the document has too many values",
        ),
        attack(
            "a long field name",
            format!("{{{}}}", times("a", 60_000)),
            "a name is longer",
        ),
        attack(
            "a long alias",
            format!("{{{}:a}}", times("a", 129)),
            "a name is longer",
        ),
        attack(
            "a long argument name",
            format!("{{a({}:1)}}", times("a", 129)),
            "a name is longer",
        ),
        attack(
            "a long variable name",
            format!("query(${}:A){{a}}", times("a", 129)),
            "a name is longer",
        ),
        attack(
            "a long fragment name",
            format!("{{...{0}}}fragment {0} on Query{{a}}", times("a", 129)),
            "a name is longer",
        ),
        attack(
            "a long operation name",
            format!("query {}{{a}} query B{{a}}", times("a", 129)),
            "a name is longer",
        ),
    ]
}

fn others() -> Vec<Attack> {
    let types = |inside: &str| format!("{{__schema{{types{{{inside}}}}}}}");
    let deep_of_type = "ofType{".repeat(20) + "name" + &"}".repeat(20);
    vec![
        attack("two mutations", "mutation{a b}", "a document holds one mutation"),
        attack("one mutation twice", "mutation{a a}", "a document holds one mutation"),
        attack("mutations by alias", "mutation{a:pay b:pay}", "a document holds one mutation"),
        attack("mutations in a fragment", "mutation{...F}fragment F on Mutation{a b}", "a document holds one mutation"),
        attack("mutations in two fragments", "mutation{...F ...G}fragment F on Mutation{a}fragment G on Mutation{b}", "a document holds one mutation"),
        attack("one fragment spread twice", "mutation{...F ...F}fragment F on Mutation{a}", "a document holds one mutation"),
        attack("mutations in inline fragments", "mutation{...{a}...on Mutation{b}}", "a document holds one mutation"),
        attack("mutations in two operations", "mutation A{a}mutation B{b}", "a document holds one mutation"),
        attack("mutations of which one is skipped", "mutation{a b @skip(if:true)}", "a document holds one mutation"),
        attack("two subscriptions", "subscription{a b}", "a document holds one subscription"),
        attack("introspection in width", types("fields{type{fields{type{fields{name}}}}}"), "lists of introspection"),
        attack("introspection of possible types", types("possibleTypes{interfaces{possibleTypes{name}}}"), "lists of introspection"),
        attack("introspection through a fragment", "{__schema{types{...T}}}fragment T on __Type{fields{type{fields{type{inputFields{name}}}}}}".to_owned(), "lists of introspection"),
        attack("introspection in depth", format!("{{__type(name:\"A\"){{{deep_of_type}}}}}"), "fields of introspection"),
        attack("nothing", "", "the document is not GraphQL"),
        attack("a fragment alone", "fragment F on Query{a}", "the document cannot be used: it holds no operation"),
        attack("60,000 commas", ",".repeat(60_000), "the document is not GraphQL"),
        attack("60,000 quotes", "\"".repeat(60_000), "the document is not GraphQL"),
        attack("an unended string", format!("{{a(b:\"{}", "a".repeat(60_000)), "the document is not GraphQL"),
        attack("a comment and nothing", format!("#{}", "{".repeat(60_000)), "the document is not GraphQL"),
        attack("an anonymous operation among others", "{a}query B{b}", "the document cannot be used: one of several"),
        attack("two operations of one name", "query A{a}query A{b}", "the document cannot be used: two operations"),
    ]
}

fn limits() -> Limits {
    Limits::from(&ApiOptions::default())
}

#[test]
fn every_attack_is_refused_without_being_expanded() {
    let all: Vec<Attack> = [fragments(), nesting(), floods(), others()]
        .into_iter()
        .flatten()
        .collect();
    assert!(all.len() >= 60, "{} attacks", all.len());
    for Attack {
        name,
        text,
        refusal,
    } in all
    {
        assert!(
            text.len() <= 64 * 1024,
            "{name}: the body's limit comes before"
        );
        let mut visits = Visits::default();
        let Err(refused) = admit_counted(&text, &limits(), &mut visits) else {
            panic!("{name} was admitted");
        };
        let told = refused.to_string();
        assert!(told.contains(refusal), "{name}: {told}");
        assert!(told.len() < 120, "{name}: {told}");
        assert!(visits.0 <= text.len(), "{name}: {} visits", visits.0);
    }
}

#[test]
fn what_tools_ask_about_the_schema_is_admitted() {
    let admitted = admit(INTROSPECTION, &limits()).unwrap();
    assert!(admitted.introspects);
    assert!(!admit("{a __typename}", &limits()).unwrap().introspects);
    let hidden = "{...F}fragment F on Query{...on Query{__type(name:\"A\"){name}}}";
    assert!(admit(hidden, &limits()).unwrap().introspects);
}

#[test]
fn what_front_ends_send_is_admitted() {
    for text in [
        "{a{b{c{d{e{f{g{h{i{j{k{l}}}}}}}}}}}}",
        "mutation($i:I!){orderConfirm(input:$i){order{...O}}}fragment O on Order{state}",
        "subscription{orderChanged(orderNo:\"1\"){...O}}fragment O on Order{state}",
        "query A{...F}query B{...F}fragment F on Query{a}",
        "mutation{__typename orderCancel(input:{orderNo:\"1\"}){order{state}}}",
    ] {
        if let Err(refused) = admit(text, &limits()) {
            panic!("{text}: {refused}");
        }
    }
    let bushy = many(30, |n| format!("a{n}:a{{b{{c}}d{{e}}}} "), "{") + "}";
    assert!(admit(&bushy, &limits()).is_ok());
}

#[test]
fn the_expansion_is_counted_exactly() {
    // F1 has 2 selections; F0 has 2 spreads of F1: 2 + 4; the operation spreads F0: 1 + 6.
    let text = "{...F0}fragment F0 on Q{...F1 ...F1}fragment F1 on Q{a b}";
    let with = |expansion| Limits {
        expansion,
        ..limits()
    };
    assert!(admit(text, &with(7)).is_ok());
    assert!(admit(text, &with(6)).is_err());
}

#[test]
fn what_the_document_holds_is_told() {
    let admitted = admit("subscription($a:A){b(c:$a,d:null,e:[true,X])}", &limits()).unwrap();
    assert!(admitted.only_subscribes && !admitted.has_values);
    let admitted = admit("query{b}subscription S{b}", &limits());
    assert!(admitted.is_err());
    let admitted = admit("query Q{b(c:{d:[\"x\"]})}subscription S{b}", &limits()).unwrap();
    assert!(!admitted.only_subscribes && admitted.has_values);
}

/// The question that GraphiQL asks.
const INTROSPECTION: &str = include_str!("introspection.graphql");
