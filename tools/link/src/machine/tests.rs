use super::*;

/// A directory for machines that vanishes with the test.
struct Base(PathBuf);

impl Base {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("link-test-{}-{number}", process::id()));
        private_directories().create(&path).unwrap();
        Self(path)
    }

    fn machines(&self) -> Machines {
        Machines::below(&self.0).unwrap()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(machines: &Machines) -> Vec<String> {
    machines.running().unwrap().into_iter().map(|found| found.name).collect()
}

#[test]
fn a_machine_is_found_while_it_runs_and_leaves_nothing() {
    let base = Base::new();
    let machines = base.machines();
    assert!(matches!(machines.only(), Err(Error::None)));
    let running = machines.create(None).unwrap();
    let found = machines.only().unwrap();
    assert_eq!(&found, running.found());
    assert_eq!(found.pid, Some(process::id()));
    assert_eq!(found.directory, base.0.join("ferrule/ferrule"));
    assert_eq!(found.xenstored(), base.0.join("ferrule/ferrule/xenstored"));
    assert_eq!(fs::metadata(&found.directory).unwrap().mode() & 0o777, 0o700);
    File::create(found.xl()).unwrap();
    drop(running);
    assert!(matches!(machines.only(), Err(Error::None)));
    assert_eq!(fs::read_dir(base.0.join("ferrule")).unwrap().count(), 0);
}

#[test]
fn of_several_one_has_to_be_named() {
    let base = Base::new();
    let machines = base.machines();
    let first = machines.create(None).unwrap();
    let second = machines.create(None).unwrap();
    let third = machines.create(Some("build")).unwrap();
    assert_eq!(names(&machines), ["build", "ferrule", "ferrule-2"]);
    let error = machines.only().unwrap_err().to_string();
    assert_eq!(
        error,
        "several machines run (build, ferrule, ferrule-2); name one with --machine NAME or \
         $FERRULE_MACHINE"
    );
    assert_eq!(&machines.named("build").unwrap(), third.found());
    let directory = second.found().directory.to_str().unwrap();
    assert_eq!(&machines.named(directory).unwrap(), second.found());
    assert!(matches!(machines.named("other"), Err(Error::NotRunning(_))));
    assert!(matches!(machines.create(Some("build")), Err(Error::Exists(name)) if name == "build"));
    drop((first, second));
    assert_eq!(machines.only().unwrap().name, "build");
}

#[test]
fn what_a_killed_process_has_left_is_passed_over_and_replaced() {
    let base = Base::new();
    let machines = base.machines();
    let running = machines.create(Some("web")).unwrap();
    let Running { found, _lock: lock } = &running;
    File::create(found.xenstored()).unwrap();
    lock.unlock().unwrap();
    assert!(names(&machines).is_empty());
    assert!(matches!(machines.named("web"), Err(Error::NotRunning(_))));
    // Somebody who looks does not make it look alive.
    let looking = lock_of(&found.directory, false).unwrap();
    looking.lock_shared().unwrap();
    let finished = thread::spawn(move || machines.create(Some("web")));
    looking.unlock().unwrap();
    let again = finished.join().unwrap().unwrap();
    assert!(!again.found().xenstored().exists());
    assert_eq!(names(&base.machines()), ["web"]);
    core::mem::forget(running);
}

#[test]
fn only_one_of_many_gets_a_name() {
    let base = Base::new();
    let made: Vec<_> = (0..8)
        .map(|_| {
            let machines = base.machines();
            thread::spawn(move || machines.create(Some("one")))
        })
        .collect();
    let made: Vec<_> = made.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
}

#[test]
fn names_are_names_of_directories() {
    let base = Base::new();
    let machines = base.machines();
    for name in ["", ".", "..", ".hidden", "a b", "ü", &"x".repeat(33)] {
        assert!(matches!(machines.create(Some(name)), Err(Error::Name(_))), "{name}");
        assert!(matches!(machines.named(name), Err(Error::Name(_))), "{name}");
    }
    assert!(machines.create(Some("a/b")).is_err());
}

#[test]
fn a_directory_that_others_can_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let base = Base::new();
    fs::set_permissions(&base.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Machines::below(&base.0), Err(Error::NotOurs(_))));
}
