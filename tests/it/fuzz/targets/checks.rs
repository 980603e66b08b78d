//! What services ask the sidecar.

use doorward::protocol::authzen::{
    Batch, Request, Search, Target, object, organization_in, parse_evaluation, resolve,
};
use serde_json::Value;

use super::{Verdict, verdict};

/// A body, read as each of the endpoints reads it.
pub fn evaluations(data: &[u8]) -> Verdict {
    let whole: Option<Value> = serde_json::from_slice(data).ok();
    let single =
        parse_evaluation(data).and_then(|it| it.complete().map(|it| seen(&it, whole.as_ref())));
    let batch = Batch::parse(data).map(|batch| {
        let answers: Vec<_> = batch
            .items()
            .map(|item| {
                let item = item.map_err(|error| error.status())?;
                for fill in [true, false] {
                    if let Ok(request) = resolve(&batch.defaults, &item, fill) {
                        read(&request);
                    }
                }
                Ok::<_, u16>(resolve(&batch.defaults, &item, true).is_ok())
            })
            .collect();
        assert_eq!(answers.len(), batch.len());
        answers
    });
    let search = Search::parse(data).map(|search| {
        if let Some(cursor) = &search.cursor {
            assert_eq!(cursor.to_string().parse().as_ref(), Ok(cursor));
        }
        assert!(search.limit.is_none_or(|limit| (1..=1000).contains(&limit)));
        [
            Target::Subject,
            Target::Resource,
            Target::Action,
            Target::Plan,
        ]
        .map(|target| search.complete(target).is_ok_and(|it| read(&it)))
    });
    if whole.is_none() {
        assert!(single.is_err() && batch.is_err() && search.is_err());
    }
    verdict((
        single.map_err(|error| error.status()),
        batch.map_err(|error| error.status()),
        search.map_err(|error| error.status()),
    ))
}

/// What was read is what another reader sees.
fn seen(request: &Request<'_>, whole: Option<&Value>) -> bool {
    let whole = whole.unwrap();
    for (pointer, read) in [
        ("/subject/type", request.subject.kind),
        ("/subject/id", request.subject.id),
        ("/action/name", request.action.name),
        ("/resource/type", request.resource.kind),
        ("/resource/id", request.resource.id),
    ] {
        assert_eq!(whole.pointer(pointer).and_then(Value::as_str), Some(read));
    }
    read(request)
}

/// The parts that are left unread until a policy wants them.
fn read(request: &Request<'_>) -> bool {
    let parts = [
        request.subject.properties,
        request.action.properties,
        request.resource.properties,
        request.context,
    ];
    parts.into_iter().flatten().all(|raw| {
        let named = organization_in(raw, "context.organization");
        let map = object(raw);
        if let (Ok(Some(named)), Ok(map)) = (&named, &map) {
            assert_eq!(map["organization"], named.as_ref());
        }
        named.is_ok() && map.is_ok()
    })
}
