use super::*;

#[test]
fn the_page_names_no_other_host() {
    let page = Page::new().body;
    for foreign in ["http://", "https://", "//cdn", "src=\"", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign:?} stands in the page");
    }
    // The icon is the only link, and it is empty.
    assert_eq!(page.matches("href=").count(), 1);
    assert!(page.contains("href=\"data:,\""));
}

#[test]
fn the_policy_lets_exactly_this_script_and_this_style_run() {
    let page = Page::new();
    assert_eq!(page.body.matches("<script>").count(), 1);
    assert_eq!(page.body.matches("<style>").count(), 1);
    let script = page.body.split("<script>").nth(1).unwrap();
    let script = script.split("</script>").next().unwrap();
    let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
    assert!(page.policy.contains(&format!("script-src 'sha256-{hash}'")));
    assert!(page.policy.starts_with("default-src 'none';"));
    assert!(page.policy.contains("connect-src 'self';"));
    assert!(!page.policy.contains("unsafe"));
    // Nothing in the page needs more than that: no handlers and no styles in attributes.
    for inline in [" onclick", " onload", " style=", "javascript:"] {
        assert!(!page.body.contains(inline), "{inline}");
    }
}

#[test]
fn the_examples_are_in_the_page_and_cannot_end_their_element() {
    let page = Page::new().body;
    assert!(!page.contains(EXAMPLES_MARK));
    let element = page.split("id=\"examples\">").nth(1).unwrap();
    let element = element.split("</script>").next().unwrap();
    let found: Vec<serde_json::Value> = serde_json::from_str(element).unwrap();
    assert_eq!(found.len(), EXAMPLES.len());
    for (found, example) in found.iter().zip(EXAMPLES) {
        assert_eq!(found["document"], example.document);
    }
}

#[test]
fn what_is_not_there_gets_a_policy_that_runs_nothing() {
    assert_eq!(fingerprint("<p>", "<script>", "</script>"), "'none'");
}
