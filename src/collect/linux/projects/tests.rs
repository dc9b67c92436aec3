//! Projects on trees of files made by hand.

use std::os::unix::fs::symlink;

use super::*;

/// The project of whatever works in `directory`, found as if its tree belonged to somebody.
fn project_of(directory: &Path) -> Option<Project> {
    let mut places = Places::default();
    find(&places.at_or_above(directory, None))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_nearest_directory_counts_and_its_branch_may_be_further_up() {
    let root = tempfile::tempdir().unwrap();
    let shop = root.path().join("shop");
    write(&shop.join(".git/HEAD"), "ref: refs/heads/feature/cart\n");
    write(&shop.join("web/package.json"), r#"{"name": "shop-web"}"#);
    fs::create_dir_all(shop.join("web/src")).unwrap();
    let web = project_of(&shop.join("web/src")).unwrap();
    assert_eq!((&web.directory, &*web.name, web.kind), (&shop.join("web"), "shop-web", ProjectKind::Npm));
    assert_eq!(web.git_branch.as_deref(), Some("feature/cart"));
    let whole = project_of(&shop).unwrap();
    assert_eq!(
        (&*whole.name, whole.kind, whole.git_branch.as_deref()),
        ("shop", ProjectKind::Git, Some("feature/cart"))
    );
}

#[test]
fn worktrees_and_submodules_have_branches_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    write(&path("shop/.git/HEAD"), "ref: refs/heads/main\n");
    write(&path("shop/.git/worktrees/fix/HEAD"), "ref: refs/heads/fix\n");
    write(&path("fix/.git"), &format!("gitdir: {}\n", path("shop/.git/worktrees/fix").display()));
    write(&path("shop/.git/modules/lib/HEAD"), "53af2d4a0f0b7f1b0d6c1a3f2f2f0e1d2c3b4a59\n");
    write(&path("shop/lib/.git"), "gitdir: ../.git/modules/lib\n");
    let branch = |name: &str| project_of(&path(name)).unwrap().git_branch;
    assert_eq!(branch("shop").as_deref(), Some("main"));
    assert_eq!(branch("fix").as_deref(), Some("fix"));
    // It has none checked out, and the branch around it is not its own.
    assert_eq!(branch("shop/lib"), None);
}

#[test]
fn what_is_no_regular_file_is_no_marker_and_what_cannot_be_read_has_the_name_of_its_directory() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for name in ["fifo", "link", "directory", "loop"] {
        fs::create_dir(path(name)).unwrap();
    }
    assert!(std::process::Command::new("mkfifo").arg(path("fifo/package.json")).status().unwrap().success());
    symlink("/dev/zero", path("link/package.json")).unwrap();
    fs::create_dir(path("directory/package.json")).unwrap();
    symlink(".git", path("loop/.git")).unwrap();
    for name in ["fifo", "link", "directory", "loop"] {
        assert_eq!(project_of(&path(name)), None, "{name}");
    }
    write(&path("large/package.json"), "");
    fs::File::options().write(true).open(path("large/package.json")).unwrap().set_len(1 << 30).unwrap();
    fs::create_dir(path("binary")).unwrap();
    fs::write(path("binary/package.json"), b"\xff\xfe{").unwrap();
    write(&path("escapes/package.json"), r#"{"name": "\u001b]0;x\u0007"}"#);
    for name in ["large", "binary", "escapes"] {
        assert_eq!(project_of(&path(name)).map(|project| project.name).as_deref(), Some(name));
    }
    write(&path("dangling/.git"), "gitdir: /no/such/place\n");
    let dangling = project_of(&path("dangling")).unwrap();
    assert_eq!((dangling.kind, dangling.git_branch), (ProjectKind::Git, None));
}

#[test]
fn the_working_directory_of_this_test_is_here() {
    let own = std::process::id();
    let cwd = std::env::current_dir().unwrap();
    assert!(is_here(Path::new("/proc"), own, &cwd));
    assert!(!is_here(Path::new("/proc"), own, Path::new("/")) && !is_here(Path::new("/proc"), own, Path::new("x")));
}
